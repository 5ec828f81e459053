-- What the shop offers. Money is an integer in minor units (cents) plus an ISO 4217 code.
create schema if not exists catalog;

create table catalog.categories (
    id        uuid primary key,
    parent_id uuid references catalog.categories (id),
    slug      text not null unique check (slug ~ '^[a-z0-9-]{1,120}$'),
    name      text not null,
    position  integer not null
);

create table catalog.products (
    id                 uuid primary key,
    slug               text not null unique check (slug ~ '^[a-z0-9-]{1,160}$'),
    name               text not null,
    description        text not null,
    brand              text not null,
    category_id        uuid not null references catalog.categories (id),
    status             text not null default 'active' check (status in ('draft', 'active', 'archived')),
    base_price         bigint not null check (base_price between 0 and 1000000000),
    currency           text not null check (currency ~ '^[A-Z]{3}$'),
    popularity         bigint not null default 0 check (popularity >= 0),
    -- A projection of the stock that checkout owns; as_of says how old it is.
    availability       text not null default 'in_stock' check (availability in ('in_stock', 'low', 'out_of_stock')),
    availability_as_of timestamptz not null default now(),
    version            bigint not null default 1,
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now()
);

-- One index per way to sort a list. Each ends in id, all columns in one direction, so that a page can start after a row.
create index products_newest_idx   on catalog.products (created_at, id) where status = 'active';
create index products_popular_idx  on catalog.products (popularity, id) where status = 'active';
create index products_price_idx    on catalog.products (base_price, id) where status = 'active';
create index products_name_idx     on catalog.products (name collate "C", id) where status = 'active';
create index products_category_idx on catalog.products (category_id, base_price, id) where status = 'active';

create table catalog.skus (
    id         uuid primary key,
    sku        text not null unique check (sku ~ '^[A-Za-z0-9_-]{1,64}$'),
    product_id uuid not null references catalog.products (id),
    attributes jsonb not null default '{}',
    price      bigint not null check (price between 0 and 1000000000),
    active     boolean not null default true
);

create index skus_product_idx on catalog.skus (product_id);

-- What checkout may know of the catalog: a local join beats a call over the network while a request holds stock.
create view catalog.sku_prices as
select s.sku, s.product_id, p.name, s.price, p.currency, s.active and p.status = 'active' as active
from catalog.skus s
join catalog.products p on p.id = s.product_id;
