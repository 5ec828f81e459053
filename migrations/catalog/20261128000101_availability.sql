-- Of each SKU whether there is any: a projection of the stock that checkout owns, as the product's has been. Whoever knows
-- it of no later moment than this does not change it.
alter table catalog.skus
    add column availability text not null default 'in_stock'
        check (availability in ('in_stock', 'low', 'out_of_stock')),
    add column availability_as_of timestamptz not null default 'epoch';
