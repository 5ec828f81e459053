-- What the other files of this folder draw from: nothing here depends on the clock or on chance.
--
-- The sizes come in as settings of the transaction: seed.products, seed.users, seed.orders.

-- A UUID of version 7 for the n-th thing of a kind (three hexadecimal digits), made at a moment.
create function pg_temp.id(kind text, n bigint, at timestamptz) returns uuid language sql stable as $$
    select (lpad(to_hex((1000 * date_part('epoch', at))::bigint), 12, '0') || '7' || kind || '8'
            || lpad(to_hex(n), 15, '0'))::uuid
$$;

-- A number in [0, 1) for the n-th draw: the fractions of n times an irrational number fill the interval evenly. Each
-- use has a prime of its own.
create function pg_temp.draw(prime int, n bigint) returns double precision language sql immutable as $$
    select n * sqrt(prime) - floor(n * sqrt(prime))
$$;

-- The day the shop was seeded, wherever and whenever that is.
create function pg_temp.today() returns timestamptz language sql immutable as $$
    select timestamptz '2024-08-10 12:00:00+00'
$$;

-- The product of a rank in popularity: 7919 is a prime, so every product has one rank.
create function pg_temp.product_of_rank(rank bigint) returns bigint language sql stable as $$
    select rank * 7919 % current_setting('seed.products')::bigint + 1
$$;
