-- What happened to orders, for whoever subscribes to it. A trigger writes each event here in the transaction that writes it
-- to order_events: no statement can forget it, also none of a program that is older than this table.
create table checkout.outbox (
    -- In the order of commits for each order (see the trigger), not for all of them: an id may become visible after a greater
    -- one. So nobody reads on from the last id that he saw; what is new is what was not published.
    id           bigint generated always as identity primary key,
    event_id     uuid not null unique,
    topic        text not null,
    -- The order.
    key          uuid not null,
    payload      jsonb not null,
    created_at   timestamptz not null default now(),
    -- When its deliveries were written.
    published_at timestamptz
);

create index outbox_unpublished_idx on checkout.outbox (id) where published_at is null;

-- RFC 9562, version 7: 48 bits of milliseconds, the rest by chance. From version 18 on Postgres has one of its own.
create function checkout.uuid_v7() returns uuid language sql volatile as $$
    select encode(
        set_bit(set_bit(overlay(
            uuid_send(gen_random_uuid())
            placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6
        ), 52, 1), 53, 1),
        'hex')::uuid
$$;

create function checkout.order_events_to_outbox() returns trigger language plpgsql as $$
begin
    -- Whoever changed the order holds its row already. Whoever did not waits here for the one that does, so that the ids of an
    -- order's events are in the order of their commits.
    perform from checkout.orders o where o.id in (select order_id from written) order by o.id for no key update;
    insert into checkout.outbox (event_id, topic, key, payload)
    select e.event_id, e.topic, e.order_id, jsonb_build_object(
        'id', e.event_id,
        'type', e.topic,
        'version', 1,
        'timestamp', to_char(e.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'data', e.data || jsonb_build_object(
            'order_id', e.order_id,
            'total', jsonb_build_object('amount', o.total, 'currency', o.currency)
        )
    )
    from (select w.*, checkout.uuid_v7() as event_id, 'order.' || w.kind as topic from written w) e
    join checkout.orders o on o.id = e.order_id
    order by e.id;
    return null;
end
$$;

create trigger to_outbox after insert on checkout.order_events
    referencing new table as written
    for each statement execute function checkout.order_events_to_outbox();
