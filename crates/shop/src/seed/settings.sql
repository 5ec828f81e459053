-- What the other files of this folder draw from: nothing here depends on the clock or on chance.
--
-- The sizes come in as settings of the transaction: seed.products, seed.users, seed.orders. A line `-- step: ...` begins a step,
-- and is what is said of it.

-- What the many short-lived plans of a seed do not pay back.
set local jit = off;
set local max_parallel_workers_per_gather = 0;
set local work_mem = '32MB';
set local maintenance_work_mem = '64MB';

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

-- Indexes are made once over all rows, and keys checked once, which takes half the time of doing so for each row.
create temporary table seed_set_aside (step int, undo text) on commit drop;

-- Takes constraints and indexes from tables, and writes down how they come back: keys, other indexes, foreign keys.
create function pg_temp.set_aside(tables regclass[]) returns void language plpgsql as $$
declare one record;
begin
    for one in
        select format('alter table %s drop constraint %I', conrelid::regclass, conname) as take,
               format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as undo,
               contype = 'f' as is_foreign
        from pg_constraint
        where contype in ('p', 'u', 'f') and (conrelid = any (tables) or confrelid = any (tables))
        order by contype = 'f' desc, conname, conrelid
    loop
        execute one.take;
        insert into seed_set_aside (step, undo) values (case when one.is_foreign then 3 else 1 end, one.undo);
    end loop;
    for one in
        select indexrelid::regclass as name, pg_get_indexdef(indexrelid) as undo
        from pg_index where indrelid = any (tables) order by 2
    loop
        execute format('drop index %s', one.name);
        insert into seed_set_aside (step, undo) values (2, one.undo);
    end loop;
end
$$;

create function pg_temp.put_back() returns void language plpgsql as $$
declare one record;
begin
    for one in select undo from seed_set_aside order by step, undo loop
        execute one.undo;
    end loop;
end
$$;
