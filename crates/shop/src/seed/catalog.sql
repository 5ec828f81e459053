-- 60 categories in two levels, products of 40 brands, three SKUs each.

-- step: filling the catalog with {products} products

create temporary table seed_departments on commit drop as
select n, name, leaves
from unnest(
    array['Kitchen', 'Garden', 'Office', 'Outdoor', 'Bath', 'Living', 'Workshop', 'Travel', 'Sport', 'Music'],
    array['Kettle,Toaster,Blender,Grinder,Skillet', 'Trowel,Planter,Hose,Rake,Lantern',
          'Notebook,Lamp,Chair,Desk,Stapler', 'Tent,Stove,Compass,Hammock,Cooler',
          'Towel,Mirror,Basket,Stool,Mat', 'Sofa,Rug,Vase,Cushion,Clock',
          'Hammer,Drill,Clamp,Level,Plane', 'Suitcase,Backpack,Wallet,Pouch,Adapter',
          'Racket,Dumbbell,Helmet,Skateboard,Kayak', 'Guitar,Ukulele,Drum,Metronome,Tuner']
) with ordinality as department (name, leaves, n);

insert into catalog.categories (id, parent_id, slug, name, position)
select pg_temp.id('d00', n, pg_temp.today() - interval '3 years'), null, lower(name), name, n
from seed_departments;

create temporary table seed_leaves on commit drop as
select (d.n - 1) * 5 + leaf.n as n, d.n as department, leaf.name as noun,
       pg_temp.id('ca0', (d.n - 1) * 5 + leaf.n, pg_temp.today() - interval '3 years') as id
from seed_departments d, unnest(string_to_array(d.leaves, ',')) with ordinality as leaf (name, n);

insert into catalog.categories (id, parent_id, slug, name, position)
select l.id, pg_temp.id('d00', l.department, pg_temp.today() - interval '3 years'), lower(l.noun) || 's',
       l.noun || 's', l.n
from seed_leaves l;

create temporary table seed_products on commit drop as
with words as (
    select string_to_array('Alder,Birch,Cedar,Dune,Ember,Fjord,Grove,Harbor,Iris,Juniper,Kelp,Larch,Maple,North,Onyx,'
                           'Pine,Quartz,River,Slate,Thorn,Umber,Vale,Willow,Yarrow,Zephyr,Amber,Basalt,Coral,Delta,Elm,'
                           'Flint,Garnet,Heron,Inlet,Jade,Kestrel,Linden,Moss,Nettle,Oak', ',') as brands,
           string_to_array('Plain,Classic,Sturdy,Light,Compact,Quiet,Bright,Folding,Tall,Small,Round,Warm', ',') as looks
),
ranked as (
    select rank, pg_temp.product_of_rank(rank) as n
    from generate_series(1, current_setting('seed.products')::bigint) rank
)
select r.n,
       pg_temp.today() - r.n * interval '97 minutes' as created_at,
       w.brands[1 + floor(40 * pg_temp.draw(2, r.n))::int] as brand,
       w.looks[1 + floor(12 * pg_temp.draw(3, r.n))::int] as look,
       1 + floor(50 * pg_temp.draw(5, r.n))::int as leaf,
       -- Log-normal around 30, by Box and Muller; prices end in 9.
       10 * least(100000, greatest(20, round(300 * exp(0.8 * sqrt(-2 * ln(1 - pg_temp.draw(7, r.n)))
                                                           * cos(2 * pi() * pg_temp.draw(11, r.n))))))::bigint - 1 as price,
       -- Zipf with exponent 1.
       1000000 / r.rank as popularity
from ranked r, words w;

insert into catalog.products
    (id, slug, name, description, brand, category_id, base_price, currency, popularity, availability,
     availability_as_of, created_at, updated_at)
select pg_temp.id('b00', p.n, p.created_at),
       lower(p.brand || '-' || p.look || '-' || l.noun) || '-' || lpad(p.n::text, greatest(5, length(p.n::text)), '0'),
       p.brand || ' ' || p.look || ' ' || l.noun,
       'A ' || lower(p.look) || ' ' || lower(l.noun) || ' by ' || p.brand || ', made to be repaired.',
       p.brand, l.id, p.price, 'EUR', p.popularity,
       -- Low where one of its SKUs is scarce: those whose number ends in 50.
       case when 3 * p.n % 100 between 50 and 52 then 'low' else 'in_stock' end,
       pg_temp.today(), p.created_at, p.created_at
from seed_products p
join seed_leaves l on l.n = p.leaf
order by p.n desc;

-- SKU-000001 to SKU-000003 are the variants of product 1, and so on.
create temporary table seed_skus on commit drop as
select 3 * (p.n - 1) + k as n, 'SKU-' || lpad((3 * (p.n - 1) + k)::text, 6, '0') as sku, p.n as product, p.created_at,
       p.price + (k - 1) * (p.price / 100 * 10) as price, (array['S', 'M', 'L'])[k] as size,
       p.brand || ' ' || p.look || ' ' || l.noun as name
from seed_products p
join seed_leaves l on l.n = p.leaf
cross join generate_series(1, 3) k;

create index on seed_skus (n);
analyze seed_skus;

insert into catalog.skus (id, sku, product_id, attributes, price)
select pg_temp.id('c00', n, created_at), sku, pg_temp.id('b00', product, created_at),
       jsonb_build_object('size', size), price
from seed_skus
order by n;
