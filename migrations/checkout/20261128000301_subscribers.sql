-- Who is told of events over HTTP, and what each has still to be told.
create table checkout.subscribers (
    id             uuid primary key,
    url            text not null,
    -- `order.paid`, or with a star at its end what begins so: `order.*`, `*`.
    topics         text[] not null check (cardinality(topics) > 0),
    secret         text not null,
    -- Signs too until then, so that a receiver can change its secret without missing anything.
    previous_secret text,
    previous_until timestamptz,
    state          text not null default 'active' check (state in ('active', 'paused')),
    -- In a row without an answer. From some number on nothing is sent before `probe_at`, and then one event to try it.
    failures       integer not null default 0,
    probe_at       timestamptz,
    created_at     timestamptz not null,
    check ((previous_secret is null) = (previous_until is null))
);

create table checkout.deliveries (
    subscriber_id uuid not null references checkout.subscribers (id) on delete cascade,
    event         bigint not null references checkout.outbox (id) on delete cascade,
    -- The order. What is waiting or dead keeps its later events back.
    key           uuid not null,
    state         text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead', 'skipped')),
    attempts      integer not null default 0,
    -- Not to be sent before. While somebody sends it, the end of his lease: he may be dead.
    due_at        timestamptz not null,
    -- What came of the last attempt.
    said          text,
    primary key (subscriber_id, event)
);

create index deliveries_due_idx on checkout.deliveries (subscriber_id, due_at) where state = 'waiting';
create index deliveries_open_idx on checkout.deliveries (subscriber_id, key, event) where state in ('waiting', 'dead');
create index deliveries_event_idx on checkout.deliveries (event);

create function checkout.topic_is_wanted(topics text[], topic text) returns boolean language sql immutable as $$
    select exists (
        select from unnest(topics) wanted
        where wanted = topic or (right(wanted, 1) = '*' and starts_with(topic, left(wanted, -1)))
    )
$$;
