-- What lists are searched and filtered by.

alter table catalog.products add column search tsvector generated always as (
    setweight(to_tsvector('english', name), 'A') || setweight(to_tsvector('english', brand), 'B')
    || setweight(to_tsvector('english', description), 'D')
) stored;

-- Products change seldom, so nothing is put off until somebody searches.
create index products_search_idx on catalog.products using gin (search) with (fastupdate = off) where status = 'active';

create index products_brand_idx on catalog.products (brand, base_price, id) where status = 'active';
create index products_sold_out_idx on catalog.products (created_at, id)
    where status = 'active' and availability = 'out_of_stock';

-- Names that resemble what was asked for, where no word of it is found. The extension is a part of the server's contrib
-- package, and not everybody may create it: where it cannot be had, such a search finds nothing, as the program sees by
-- the index. It can be made later by hand, with these two statements.
do $$
begin
    create extension if not exists pg_trgm;
    create index products_resembling_idx on catalog.products using gin (name gin_trgm_ops) with (fastupdate = off)
        where status = 'active';
exception when insufficient_privilege or feature_not_supported or undefined_file or undefined_object or invalid_schema_name then
    raise notice 'no search by resemblance: %', sqlerrm;
end
$$;
