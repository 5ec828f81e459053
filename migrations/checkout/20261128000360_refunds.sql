-- Not ours: what the simulated provider gave back. It refuses more than it charged.
alter table payment_simulator.charges
    add column refunded bigint not null default 0,
    add constraint charges_never_over_refunded check (refunded = 0 or (refunded between 0 and amount and outcome = 'approved'));

create index charges_at_idx on payment_simulator.charges (at, provider_ref);

create table payment_simulator.refunds (
    refund_id    uuid primary key,
    order_id     uuid not null,
    attempt      smallint not null,
    outcome      text not null check (outcome in ('succeeded', 'refused')),
    amount       bigint not null check (amount > 0),
    currency     text not null,
    provider_ref text not null unique,
    at           timestamptz not null default now()
);

create index refunds_at_idx on payment_simulator.refunds (at, provider_ref);

-- Ours. What is asked back of a payment, failed refunds apart, is never more than was paid: the row of the payment is the
-- place where two that ask at once meet.
alter table checkout.payments
    add column refunded bigint not null default 0,
    add constraint payments_never_over_refunded check (refunded = 0 or (refunded between 0 and amount and state = 'succeeded'));

-- Written before the provider is asked. requested -> succeeded or failed, once.
create table checkout.refunds (
    id           uuid primary key,
    payment_id   uuid not null references checkout.payments (id),
    amount       bigint not null check (amount > 0),
    reason       text not null check (length(reason) between 1 and 500),
    state        text not null default 'requested' check (state in ('requested', 'succeeded', 'failed')),
    provider_ref text unique,
    requested_at timestamptz not null,
    settled_at   timestamptz,
    check ((state = 'requested') = (settled_at is null)),
    check ((state = 'requested') = (provider_ref is null))
);

create index refunds_payment_idx on checkout.refunds (payment_id);
create index refunds_requested_idx on checkout.refunds (requested_at, id) where state = 'requested';
