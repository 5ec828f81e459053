-- An account has one open cart. What was put into others is not lost: it goes into the one that was changed last, up to 99 of each.

-- Nobody writes meanwhile; whoever reads goes on.
lock table checkout.carts, checkout.cart_items in share row exclusive mode;

-- merged: what was in it is in the open cart of its account. The program before this one takes it for ordered, and leaves it alone.
alter table checkout.carts drop constraint carts_status_check;
alter table checkout.carts add constraint carts_status_check check (status in ('open', 'ordered', 'merged'));

-- What the buyer was shown when the line was last changed: so that an order can say what has become different. Null and 0 where that
-- was never written down.
alter table checkout.cart_items
    add column changed_in bigint not null default 0,
    add column shown_price bigint;

update checkout.carts c set status = 'merged', version = version + 1
where status = 'open' and exists (
    select from checkout.carts later
    where later.user_id = c.user_id and later.status = 'open' and (later.updated_at, later.id) > (c.updated_at, c.id)
);

insert into checkout.cart_items as mine (cart_id, sku, quantity, added_at)
select kept.id, i.sku, least(sum(i.quantity), 99), min(i.added_at)
from checkout.carts merged
join checkout.carts kept on kept.user_id = merged.user_id and kept.status = 'open'
join checkout.cart_items i on i.cart_id = merged.id
where merged.status = 'merged'
group by kept.id, i.sku
on conflict (cart_id, sku) do update set quantity = least(mine.quantity + excluded.quantity, 99);

delete from checkout.cart_items i using checkout.carts merged where i.cart_id = merged.id and merged.status = 'merged';

update checkout.carts kept set version = version + 1
where status = 'open' and exists (
    select from checkout.carts merged where merged.user_id = kept.user_id and merged.status = 'merged'
);

create unique index carts_one_open_per_user on checkout.carts (user_id) where status = 'open' and user_id is not null;
drop index checkout.carts_user_idx;
create index carts_merged_idx on checkout.carts (updated_at) where status = 'merged';

-- The program before this one claims a cart without a look at the one that its account has. So that it can go on, that one goes
-- into the cart which is claimed. Once no such program runs any more, the trigger can go.
create function checkout.merge_into_claimed() returns trigger language plpgsql as $$
declare
    other uuid;
begin
    -- One at a time for each account, as in the program.
    perform pg_advisory_xact_lock(hashtextextended(new.user_id::text, 0));
    for other in
        select id from checkout.carts where user_id = new.user_id and status = 'open' and id <> new.id for update
    loop
        insert into checkout.cart_items as mine (cart_id, sku, quantity, added_at)
        select new.id, sku, quantity, added_at from checkout.cart_items where cart_id = other
        on conflict (cart_id, sku) do update set quantity = least(mine.quantity + excluded.quantity, 99);
        delete from checkout.cart_items where cart_id = other;
        update checkout.carts set status = 'merged', version = version + 1 where id = other;
    end loop;
    return new;
end
$$;

create trigger carts_merge_into_claimed before update of user_id on checkout.carts
    for each row when (new.status = 'open' and new.user_id is not null and new.user_id is distinct from old.user_id)
    execute function checkout.merge_into_claimed();
