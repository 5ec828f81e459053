-- Which SKUs are sold out, nearly so, or neither: and when that changed last, for those who keep a projection of it. Only
-- where a level changes is anything written; a sale of one unit among many costs a comparison.
create table checkout.stock_levels (
    sku         text primary key,
    -- The transaction that changed it. Whoever has seen all that was committed when some of them were still running asks
    -- for those and all later ones, so that none is missed however late it commits: times and numbers do not tell that.
    changed_by  xid8 not null
);

create index stock_levels_changed_idx on checkout.stock_levels (changed_by);

create function checkout.note_level() returns trigger language plpgsql as $$
begin
    insert into checkout.stock_levels (sku, changed_by) values (new.sku, pg_current_xact_id())
    on conflict (sku) do update set changed_by = excluded.changed_by;
    return null;
end
$$;

-- None is left, or fewer than twenty: as domain/stock.rs has it.
create trigger inventory_note_level after update of on_hand, reserved on checkout.inventory for each row
when (
    (old.on_hand - old.reserved < 1) <> (new.on_hand - new.reserved < 1)
    or (old.on_hand - old.reserved < 20) <> (new.on_hand - new.reserved < 20)
)
execute function checkout.note_level();

create function checkout.note_new_levels() returns trigger language plpgsql as $$
begin
    insert into checkout.stock_levels (sku, changed_by) select sku, pg_current_xact_id() from added
    on conflict (sku) do update set changed_by = excluded.changed_by;
    return null;
end
$$;

create trigger inventory_note_new_levels after insert on checkout.inventory
referencing new table as added for each statement execute function checkout.note_new_levels();
