-- Why there is more or less on the shelf than was sold: one row for each time that an admin said so.
create table checkout.stock_adjustments (
    id       uuid primary key,
    sku      text not null references checkout.inventory (sku),
    delta    integer not null check (delta <> 0),
    reason   text not null check (length(reason) between 1 and 200),
    -- What there was afterwards.
    on_hand  integer not null check (on_hand >= 0),
    admin_id uuid not null,
    at       timestamptz not null
);

create index stock_adjustments_sku_idx on checkout.stock_adjustments (sku, at, id);
