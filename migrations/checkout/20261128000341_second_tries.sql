-- An order that was declined keeps its units until its reservation ends, and may be paid for again meanwhile.
alter table checkout.orders
    add column attempt smallint not null default 1 check (attempt >= 1),
    -- When the last attempt began; null where that is when the order was placed.
    add column tried_at timestamptz;

-- The cart of an order that was never paid goes back to its buyer, who may order it again.
create unique index orders_one_per_cart on checkout.orders (cart_id) where status not in ('expired', 'cancelled');
alter table checkout.orders drop constraint orders_cart_id_key;
