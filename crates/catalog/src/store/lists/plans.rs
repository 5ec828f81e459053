//! Whatever a list is filtered, sorted and searched by, no page of it costs a reading of the whole table: asked of the
//! planner, on as many products as the full seed has.

use std::collections::BTreeSet;

use forebay_embedded::testing::database;
use sqlx::{AssertSqlSafe, Connection, Execute as _, PgConnection};
use uuid::Uuid;

use super::*;
use crate::cursor::After;
use crate::domain::{Search, Sort};

const SORTS: [Sort; 6] = [Sort::Newest, Sort::Popular, Sort::PriceAsc, Sort::PriceDesc, Sort::Name, Sort::Relevance];

const FILLED: &str = "
    insert into catalog.categories (id, parent_id, slug, name, position)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
           case when n > 10 then ('00000000-0000-7000-8000-' || lpad((n % 10 + 1)::text, 12, '0'))::uuid end,
           'category-' || n, 'Category ' || n, n
    from generate_series(1, 60) n;
    insert into catalog.products (id, slug, name, description, brand, category_id, base_price, currency, popularity,
                                  availability, created_at)
    select gen_random_uuid(), 'product-' || n,
           'Brand' || n * 7 % 40 || ' ' || (array['Plain', 'Sturdy', 'Quiet', 'Tall'])[1 + n * 13 % 4] || ' '
               || (array['Kettle', 'Trowel', 'Lamp', 'Tent', 'Towel', 'Sofa', 'Hammer', 'Wallet', 'Racket', 'Drum'])[1 + n * 3 % 10],
           'One of many, made to be repaired.', 'Brand' || n * 7 % 40,
           ('00000000-0000-7000-8000-' || lpad((11 + n * 31 % 50)::text, 12, '0'))::uuid,
           200 + n * 7919 % 100000, 'EUR', 1000000 / n,
           case when n % 200 = 0 then 'out_of_stock' when n % 33 = 0 then 'low' else 'in_stock' end,
           '2024-08-10 12:00Z'::timestamptz - n * interval '97 minutes'
    from generate_series(1, 10000) n;
    analyze catalog.products, catalog.categories;
";

async fn filled() -> (forebay_embedded::testing::TestDatabase, PgConnection) {
    let database = database().await;
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    crate::MIGRATOR.run(&mut connection).await.unwrap();
    sqlx::raw_sql(FILLED).execute(&mut connection).await.unwrap();
    (database, connection)
}

/// Each filter by itself, and what is asked for together.
fn filters() -> Vec<(&'static str, Filter)> {
    let none = Filter::default;
    let search = |text: &str, resembling| Some(Search { text: text.to_owned(), resembling });
    let ids = Some((0..100).map(Uuid::from_u128).collect::<BTreeSet<_>>());
    vec![
        ("nothing", none()),
        ("a category", Filter { category: Some("category-11".into()), ..none() }),
        ("a department", Filter { category: Some("category-1".into()), ..none() }),
        ("a brand", Filter { brand: Some("Brand7".into()), ..none() }),
        ("no brand of ours", Filter { brand: Some("Nobody".into()), ..none() }),
        ("high prices", Filter { min_price: Some(99_000), ..none() }),
        ("usual prices", Filter { min_price: Some(1_000), max_price: Some(90_000), ..none() }),
        ("in stock", Filter { in_stock: Some(true), ..none() }),
        ("sold out", Filter { in_stock: Some(false), ..none() }),
        ("ids", Filter { ids: ids.clone(), ..none() }),
        (
            "a category, a brand, prices and stock",
            Filter {
                category: Some("category-11".into()),
                brand: Some("Brand7".into()),
                min_price: Some(1_000),
                max_price: Some(50_000),
                in_stock: Some(true),
                ..none()
            },
        ),
        (
            "a category and what is sold out",
            Filter { category: Some("category-1".into()), in_stock: Some(false), ..none() },
        ),
        ("a word of some", Filter { search: search("kettle", false), ..none() }),
        ("a word of all", Filter { search: search("repaired", false), ..none() }),
        ("a word of nobody", Filter { search: search("zeppelin", false), ..none() }),
        (
            "words in a category",
            Filter { search: search("quiet lamp", false), category: Some("category-1".into()), ..none() },
        ),
        (
            "words, a brand and stock",
            Filter {
                search: search("kettle -tall", false),
                brand: Some("Brand7".into()),
                in_stock: Some(true),
                ..none()
            },
        ),
        ("words among ids", Filter { search: search("kettle", false), ids, ..none() }),
        ("what resembles a word", Filter { search: search("ketle", true), ..none() }),
        ("what resembles nothing", Filter { search: search("xyzzy", true), ..none() }),
        (
            "what resembles a word, in a category",
            Filter { search: search("ketle", true), category: Some("category-11".into()), ..none() },
        ),
    ]
}

/// The first page, and one in the middle.
fn places(sort: Sort) -> [After; 2] {
    let id = Uuid::from_u128(1 << 127);
    let middle = match sort {
        Sort::Newest => After::Newest(1_700_000_000_000_000, id),
        Sort::Popular => After::Popular(200, id),
        Sort::PriceAsc => After::PriceAsc(50_000, id),
        Sort::PriceDesc => After::PriceDesc(50_000, id),
        Sort::Name => After::Name("Brand3 Quiet".to_owned(), id),
        Sort::Relevance => After::Relevance(600_000, 100, id),
    };
    [After::start(sort), middle]
}

#[tokio::test]
async fn no_page_of_any_list_reads_the_whole_table() {
    let (_database, mut connection) = filled().await;
    for (name, filter) in filters() {
        let within = match &filter.category {
            Some(slug) => Some(categories_within(&mut connection, slug).await),
            None => None,
        };
        for sort in SORTS.into_iter().filter(|sort| *sort != Sort::Relevance || filter.search.is_some()) {
            for after in places(sort) {
                let request = PageRequest::of(filter.clone(), sort, after);
                let plan = plan_of(&mut connection, statement_of(&request, within.as_deref())).await;
                assert!(!plan.contains("Seq Scan"), "{name} by {}:\n{plan}", sort.name());
            }
        }
    }
}

async fn categories_within(connection: &mut PgConnection, slug: &str) -> Vec<Uuid> {
    let within = "select c.id from catalog.categories c left join catalog.categories p on p.id = c.parent_id \
                  where c.slug = $1 or p.slug = $1";
    sqlx::query_scalar(within).bind(slug.to_owned()).fetch_all(connection).await.unwrap()
}

async fn plan_of(connection: &mut PgConnection, mut statement: QueryBuilder<Postgres>) -> String {
    let mut built = statement.build();
    let arguments = built.take_arguments().unwrap().unwrap();
    let explained = format!("explain {}", built.sql().as_str());
    let lines: Vec<String> = sqlx::query_scalar_with(AssertSqlSafe(explained), arguments)
        .persistent(false)
        .fetch_all(connection)
        .await
        .unwrap();
    lines.join("\n")
}
