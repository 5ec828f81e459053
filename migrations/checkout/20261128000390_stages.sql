-- An order of which a part of the money went back goes on from where it was: it is shipped, delivered, returned and cancelled as before.
alter table checkout.orders
    -- Where a partly refunded order was before that; null for all others.
    add column stage text check (stage in ('paid', 'shipped', 'delivered'));

update checkout.orders o set stage = coalesce(
    (select e.kind from checkout.order_events e
     where e.order_id = o.id and e.kind in ('shipped', 'delivered') order by e.id desc limit 1),
    'paid')
where status = 'partially_refunded';

-- By a trigger, so that no statement can forget it, also none of a program that is older than this column.
create function checkout.keep_stage() returns trigger language plpgsql as $$
begin
    new.stage := case when new.status = 'partially_refunded' then old.status end;
    return new;
end
$$;

create trigger orders_keep_stage before update of status on checkout.orders for each row
when (new.status <> old.status and 'partially_refunded' in (new.status, old.status))
execute function checkout.keep_stage();
