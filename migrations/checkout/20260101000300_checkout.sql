-- Carts, stock, orders and their payment. The constraints here are the last guard; the statements in store.rs are the first.
create schema if not exists checkout;

create table checkout.inventory (
    sku        text primary key,
    on_hand    integer not null,
    reserved   integer not null default 0,
    updated_at timestamptz not null default now(),
    constraint inventory_never_oversold check (reserved >= 0 and on_hand >= 0 and reserved <= on_hand)
) with (fillfactor = 70);

create table checkout.carts (
    id         uuid primary key,
    user_id    uuid,
    token_hash bytea not null check (length(token_hash) = 32),
    status     text not null default 'open' check (status in ('open', 'ordered')),
    version    bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index carts_user_idx on checkout.carts (user_id) where status = 'open' and user_id is not null;
create index carts_open_idx on checkout.carts (updated_at) where status = 'open';

create table checkout.cart_items (
    cart_id  uuid not null references checkout.carts (id) on delete cascade,
    sku      text not null,
    quantity integer not null check (quantity between 1 and 99),
    added_at timestamptz not null default now(),
    primary key (cart_id, sku)
);

create table checkout.orders (
    id         uuid primary key,
    user_id    uuid not null,
    -- One order per cart, also for a client that changes its keys.
    cart_id    uuid not null unique,
    status     text not null check (status in ('pending_payment', 'paid', 'shipped', 'delivered', 'cancelled',
                                               'payment_failed', 'expired', 'refunded', 'partially_refunded')),
    total      bigint not null check (total >= 0),
    currency   text not null check (currency ~ '^[A-Z]{3}$'),
    address    jsonb not null,
    placed_at  timestamptz not null,
    version    bigint not null default 1
);

create index orders_user_idx on checkout.orders (user_id, placed_at, id);
create index orders_pending_idx on checkout.orders (placed_at, id) where status = 'pending_payment';

create table checkout.order_items (
    order_id   uuid not null references checkout.orders (id),
    sku        text not null,
    name       text not null,
    unit_price bigint not null check (unit_price >= 0),
    quantity   integer not null check (quantity between 1 and 99),
    primary key (order_id, sku)
);

create table checkout.order_events (
    id       bigint generated always as identity primary key,
    order_id uuid not null references checkout.orders (id),
    kind     text not null,
    data     jsonb not null default '{}',
    at       timestamptz not null
);

create index order_events_order_idx on checkout.order_events (order_id, id);

-- Units that an unpaid order holds. held -> consumed (paid: the units leave the shelf) or released (they are free again).
create table checkout.reservations (
    order_id   uuid not null references checkout.orders (id),
    sku        text not null references checkout.inventory (sku),
    quantity   integer not null check (quantity between 1 and 99),
    state      text not null default 'held' check (state in ('held', 'consumed', 'released')),
    expires_at timestamptz not null,
    primary key (order_id, sku)
);

create index reservations_held_idx on checkout.reservations (expires_at) where state = 'held';

create table checkout.payments (
    id           uuid primary key,
    order_id     uuid not null references checkout.orders (id),
    attempt      smallint not null check (attempt >= 1),
    provider_ref text not null unique,
    amount       bigint not null check (amount >= 0),
    currency     text not null,
    state        text not null check (state in ('succeeded', 'declined', 'voided')),
    created_at   timestamptz not null,
    unique (order_id, attempt)
);

-- No order is paid twice.
create unique index payments_one_success on checkout.payments (order_id) where state = 'succeeded';

-- The answer to a request that may be sent again.
create table checkout.idempotency_keys (
    user_id     uuid not null,
    key         text not null check (length(key) between 1 and 255),
    fingerprint bytea not null check (length(fingerprint) = 32),
    order_id    uuid not null unique,
    state       text not null default 'in_flight' check (state in ('in_flight', 'done')),
    status_code smallint,
    body        bytea,
    claimed_at  timestamptz not null,
    expires_at  timestamptz not null,
    primary key (user_id, key),
    check ((state = 'done') = (status_code is not null and body is not null))
);

create index idempotency_keys_expires_idx on checkout.idempotency_keys (expires_at);

-- Not ours: the ledger of the simulated payment provider, which it writes over its own connection, as an outside
-- provider would. One charge per order and attempt, whoever asks and how often.
create schema if not exists payment_simulator;

create table payment_simulator.charges (
    order_id     uuid not null,
    attempt      smallint not null,
    outcome      text not null check (outcome in ('approved', 'declined', 'voided')),
    amount       bigint not null,
    currency     text not null,
    provider_ref text not null unique,
    at           timestamptz not null default now(),
    primary key (order_id, attempt)
);
