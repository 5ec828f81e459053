-- A key may belong to any operation, not to the placing of an order alone, and an order may be paid for more than once.
alter table checkout.idempotency_keys
    add column operation text not null default 'order.place',
    add column location text,
    alter column order_id drop not null;

comment on column checkout.idempotency_keys.user_id is 'Whose the key is: a user''s id, or for a guest the cart''s.';
comment on column checkout.idempotency_keys.order_id is 'The order whose payment settles the request; null where no payment does.';
comment on column checkout.idempotency_keys.location is 'Null for answers of programs that did not keep it: then it is the order''s.';

create index idempotency_keys_order_idx on checkout.idempotency_keys (order_id) where order_id is not null;
alter table checkout.idempotency_keys drop constraint idempotency_keys_order_id_key;
