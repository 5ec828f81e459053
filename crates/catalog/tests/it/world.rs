use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::response::Parts;
use forebay_catalog::State;
use forebay_embedded::testing::{Template, TestDatabase};
use forebay_platform::admit::{Admit, TimeLimits};
use forebay_platform::db::Db;
use forebay_pool::{Config, Mode, Pool, Rules};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::client::{Answer, request, send, send_for_text};
use crate::tokens;

static MIGRATED: Template = Template::new();

async fn migrate(database: TestDatabase) {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    forebay_platform::audit::MIGRATOR.run(&mut connection).await.unwrap();
    forebay_catalog::MIGRATOR.run(&mut connection).await.unwrap();
    sqlx::raw_sql(CATEGORY).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A catalog of its own.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) state: State,
    pub(crate) pool: Pool,
    pub(crate) database: TestDatabase,
}

impl World {
    /// Products 1 to `products`; the n-th is n minutes old. Prices and popularities repeat, so that only ids tell apart.
    pub(crate) async fn with(products: u32) -> Self {
        Self::on(products, Rules { mode: Mode::Off, ..Rules::default() }).await
    }

    pub(crate) async fn on(products: u32, rules: Rules) -> Self {
        let database = MIGRATED.database(migrate).await;
        let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
        sqlx::query(PRODUCTS).bind(i64::from(products)).execute(&mut connection).await.unwrap();
        sqlx::raw_sql(SKUS).execute(&mut connection).await.unwrap();
        let config = Config { rules, acquire_timeout: Duration::from_secs(5), ..Config::named("test") };
        let way = database.way().await;
        let pool = Pool::connect(way.options, config.with_settings(way.setting).unwrap()).unwrap();
        let db = Db::forebay(pool.clone());
        let admit = Admit::new(&db, TimeLimits::default());
        let state = State::new(db, admit).keeping_pages().for_admins(tokens::verifier());
        Self { router: forebay_catalog::router(state.clone()), state, pool, database }
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    /// One value, as text.
    pub(crate) async fn text(&self, sql: &'static str) -> String {
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// The slugs of the products `p` in categories `c` for which this holds.
    pub(crate) async fn slugs_where(&self, holds: &str) -> BTreeSet<String> {
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        let asked = format!(
            "select p.slug from catalog.products p join catalog.categories c on c.id = p.category_id \
             where p.status = 'active' and {holds}"
        );
        let slugs: Vec<String> = sqlx::query_scalar(AssertSqlSafe(asked)).fetch_all(&mut connection).await.unwrap();
        slugs.into_iter().collect()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(&self.router, request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get_text(&self, path: &str) -> (Parts, String) {
        send_for_text(&self.router, request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get_with(&self, path: &str, header: &str, value: &str) -> Answer {
        send(&self.router, request("GET", path).header(header, value).body(Body::empty()).unwrap()).await
    }
}

const CATEGORY: &str = "insert into catalog.categories (id, slug, name, position) \
                        values ('00000000-0000-7000-8000-000000000000', 'things', 'Things', 1)";

const PRODUCTS: &str = "insert into catalog.products (id, slug, name, description, brand, category_id, base_price, \
                        currency, popularity, created_at) \
                        select ('00000000-0000-7000-8000-' || lpad(to_hex(n * 7919 % 65521), 12, '0'))::uuid, \
                        'thing-' || n, 'Thing ' || n % 4, 'One of many.', 'Forge', \
                        '00000000-0000-7000-8000-000000000000', 100 * (n % 3), 'EUR', n % 5, \
                        '2024-08-10 12:00Z'::timestamptz - (n / 2) * interval '1 minute' \
                        from generate_series(1, $1) n";

const SKUS: &str = "insert into catalog.skus (id, sku, product_id, price, attributes) \
                    select gen_random_uuid(), slug || '-' || size, id, base_price, jsonb_build_object('size', size) \
                    from catalog.products, unnest(array['S', 'M']) size";
