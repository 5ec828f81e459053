-- Stock, one SKU in a hundred scarce (its number ends in 50); and a year of orders, popular products more often.

-- step: stocking {skus} shelves

insert into checkout.inventory (sku, on_hand, updated_at)
select sku, case when n % 100 = 50 then 5 + floor(15 * pg_temp.draw(13, n))
                 else 2000 + floor(8000 * pg_temp.draw(17, n)) end,
       pg_temp.today()
from seed_skus
order by n;

-- step: choosing who orders what

create temporary table seed_orders on commit drop as
select o as n, pg_temp.id('e00', o, at) as id, at,
       1 + floor(current_setting('seed.users')::bigint * pg_temp.draw(19, o))::bigint as buyer,
       -- Log-uniform over ranks is Zipf with exponent 1.
       pg_temp.product_of_rank(floor(power(current_setting('seed.products')::bigint, pg_temp.draw(23, o)))::bigint)
           as product,
       1 + (o % 3)::int as lines
from (
    select o, pg_temp.today() - o * (interval '365 days' / current_setting('seed.orders')::bigint) as at
    from generate_series(1, current_setting('seed.orders')::bigint) o
) placed;

create temporary table seed_items on commit drop as
select o.n as order_n, s.sku, s.name, s.price, 1 + ((o.n + k) % 5 / 3)::int as quantity
from seed_orders o
cross join lateral generate_series(0, o.lines - 1) k
join seed_skus s
  on s.n = (3 * (o.product - 1) + k * 37 + o.n % 3) % (3 * current_setting('seed.products')::bigint) + 1;

create temporary table seed_totals on commit drop as
select order_n, sum(price * quantity)::bigint as total from seed_items group by order_n;

select pg_temp.set_aside(array['checkout.orders', 'checkout.order_items', 'checkout.payments', 'checkout.order_events',
                               'payment_simulator.charges']);

-- step: placing {orders} orders

insert into checkout.orders (id, user_id, cart_id, status, total, currency, address, placed_at, number)
-- A cart of its own that is long gone; its id may as well be the order's.
select o.id, pg_temp.id('a00', o.buyer, pg_temp.today() - interval '2 years' + o.buyer * interval '1 hour'), o.id,
       case when o.n % 50 < 2 then 'shipped' when o.n % 50 = 7 then 'payment_failed' else 'delivered' end,
       t.total, 'EUR',
       '{"name": "A. Buyer", "line1": "1 Mill Lane", "city": "Forebay", "postal_code": "12345", "country": "DE"}',
       o.at, checkout.order_number(uuid_send(md5('order ' || o.n)::uuid))
from seed_orders o
join seed_totals t on t.order_n = o.n
order by o.n desc;

-- step: writing down what was ordered

insert into checkout.order_items (order_id, sku, name, unit_price, quantity)
select o.id, i.sku, i.name, i.price, i.quantity
from seed_orders o
join seed_items i on i.order_n = o.n
order by o.n desc, i.sku;

-- step: charging {orders} orders

insert into checkout.payments (id, order_id, attempt, provider_ref, amount, currency, state, created_at)
select pg_temp.id('f00', o.n, o.at), o.id, 1, 'past_' || o.n, t.total, 'EUR',
       case when o.n % 50 = 7 then 'declined' else 'succeeded' end, o.at
from seed_orders o
join seed_totals t on t.order_n = o.n
order by o.n desc;

-- step: telling the payment provider of them

-- It gives money back, and its books are compared with ours.
insert into payment_simulator.charges (order_id, attempt, outcome, amount, currency, provider_ref, at)
select o.id, 1, case when o.n % 50 = 7 then 'declined' else 'approved' end, t.total, 'EUR', 'past_' || o.n, o.at
from seed_orders o
join seed_totals t on t.order_n = o.n
order by o.n desc;

-- step: remembering what happened

-- Nobody has to be told of the past.
alter table checkout.order_events disable trigger to_outbox;
insert into checkout.order_events (order_id, kind, at)
select o.id, 'placed', o.at from seed_orders o order by o.n desc;
alter table checkout.order_events enable trigger to_outbox;

-- step: making their indexes, and checking their keys

select pg_temp.put_back();
