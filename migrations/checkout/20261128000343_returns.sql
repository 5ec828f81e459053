-- What buyers send back. requested -> approved or rejected; approved -> received -> refunded.
create table checkout.returns (
    id         uuid primary key,
    order_id   uuid not null references checkout.orders (id),
    -- The buyer; null for a guest.
    user_id    uuid,
    state      text not null default 'requested' check (state in ('requested', 'approved', 'rejected', 'received', 'refunded')),
    reason     text not null check (length(reason) between 1 and 500),
    version    bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create index returns_order_idx on checkout.returns (order_id);
create index returns_user_idx on checkout.returns (user_id, created_at, id);
create index returns_state_idx on checkout.returns (state, created_at, id);

create table checkout.return_items (
    return_id uuid not null references checkout.returns (id),
    sku       text not null,
    quantity  integer not null check (quantity between 1 and 99),
    primary key (return_id, sku)
);
