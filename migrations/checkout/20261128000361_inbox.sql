-- Messages that came from outside, so that each is taken once however often it is sent.
create table checkout.inbox (
    source      text not null,
    event_id    text not null,
    received_at timestamptz not null,
    primary key (source, event_id)
);

create index inbox_received_idx on checkout.inbox (received_at);
