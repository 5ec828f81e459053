//! Pages of lists. A statement is put together for what it filters by, so that the server plans it by that: with a
//! parameter for each filter that may be there, one plan would have to do for a single brand and for all.

use forebay_platform::db::Conn;
use sqlx::{Error, FromRow, Postgres, QueryBuilder, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cursor::{self, After};
use crate::domain::{Filter, Image, Listed, MOST_HITS, Money, PageRequest};

/// Of more hits than this only the most popular are ranked: a word that everything has would cost a reading of everything.
const MOST_RANKED: i64 = 1_000;

const COLUMNS: &str = "id, slug, name, brand, base_price, currency, availability, version, created_at, popularity";

/// The page, and one product more where there is another page. `within` are the categories that the filter names.
pub(crate) async fn page(
    conn: &mut Conn<'_>,
    request: &PageRequest,
    within: Option<&[Uuid]>,
) -> Result<Vec<Listed>, Error> {
    let mut statement = statement_of(request, within);
    // A filtered one is planned for its values, and not kept: there are too many of them.
    let rows = statement.build_query_as::<ListedRow>().persistent(request.filter.is_none());
    Ok(rows.fetch_all(conn).await?.into_iter().map(Listed::from).collect())
}

/// How many products the list has, as the planner guesses.
pub(crate) async fn estimate(conn: &mut Conn<'_>, filter: &Filter, within: Option<&[Uuid]>) -> Result<i64, Error> {
    let mut statement = QueryBuilder::new("explain (format json) select from catalog.products where ");
    push_filter(&mut statement, filter, within);
    let plan: serde_json::Value = statement.build().persistent(false).fetch_one(conn).await?.try_get(0)?;
    let rows = plan[0]["Plan"]["Plan Rows"].as_i64().ok_or_else(|| Error::Decode("a plan without rows".into()))?;
    Ok(if filter.search.is_some() { rows.min(MOST_HITS) } else { rows })
}

/// Whether names can be searched by resemblance: the extension is optional.
pub(crate) async fn knows_resemblance(conn: &mut Conn<'_>) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        select to_regclass('catalog.products_resembling_idx') is not null
               and to_regoperator('<<%(text,text)') is not null as "knows!"
        "#,
    )
    .fetch_one(conn)
    .await
}

fn statement_of(request: &PageRequest, within: Option<&[Uuid]>) -> QueryBuilder<Postgres> {
    let PageRequest { filter, after, limit, .. } = request;
    let mut statement = QueryBuilder::new(format!("select {COLUMNS}, "));
    match &filter.search {
        None => {
            statement.push("0::bigint as relevance from catalog.products where ");
            push_filter(&mut statement, filter, within);
        }
        Some(search) => {
            statement.push("relevance from (");
            if search.resembling {
                push_resembling(&mut statement, filter, &search.text, within);
            } else {
                push_hits(&mut statement, filter, &search.text, within);
            }
            statement
                .push(format!(" order by relevance desc, popularity desc, id desc limit {MOST_HITS}) hits where true"));
        }
    }
    push_after(&mut statement, after);
    // One more tells whether there is a next page.
    statement.push(" limit ").push_bind(limit + 1);
    statement
}

/// The most popular that have the words, ranked.
fn push_hits(statement: &mut QueryBuilder<Postgres>, filter: &Filter, text: &str, within: Option<&[Uuid]>) {
    statement.push(format!("select {COLUMNS}, round(1000000 * ts_rank(search, "));
    push_words(statement, text);
    statement.push(format!("))::bigint as relevance from (select {COLUMNS}, search from catalog.products where "));
    push_filter(statement, filter, within);
    statement.push(format!(" order by popularity desc, id desc limit {MOST_RANKED}) candidates"));
}

fn push_resembling(statement: &mut QueryBuilder<Postgres>, filter: &Filter, text: &str, within: Option<&[Uuid]>) {
    statement.push(format!("select {COLUMNS}, round(1000000 * strict_word_similarity("));
    statement.push_bind(text.to_owned()).push(", name))::bigint as relevance from catalog.products where ");
    push_filter(statement, filter, within);
}

fn push_words(statement: &mut QueryBuilder<Postgres>, text: &str) {
    statement.push("websearch_to_tsquery('english', ").push_bind(text.to_owned()).push(")");
}

fn push_filter(statement: &mut QueryBuilder<Postgres>, filter: &Filter, within: Option<&[Uuid]>) {
    statement.push("status = 'active'");
    if let Some(search) = &filter.search {
        if search.resembling {
            statement.push(" and ").push_bind(search.text.clone()).push(" <<% name");
        } else {
            statement.push(" and search @@ ");
            push_words(statement, &search.text);
        }
    }
    if let Some(categories) = within {
        statement.push(" and category_id = any(").push_bind(categories.to_vec()).push(")");
    }
    if let Some(brand) = &filter.brand {
        statement.push(" and brand = ").push_bind(brand.clone());
    }
    if let Some(price) = filter.min_price {
        statement.push(" and base_price >= ").push_bind(price);
    }
    if let Some(price) = filter.max_price {
        statement.push(" and base_price <= ").push_bind(price);
    }
    match filter.in_stock {
        Some(true) => _ = statement.push(" and availability <> 'out_of_stock'"),
        Some(false) => _ = statement.push(" and availability = 'out_of_stock'"),
        None => {}
    }
    if let Some(ids) = &filter.ids {
        statement.push(" and id = any(").push_bind(ids.iter().copied().collect::<Vec<_>>()).push(")");
    }
}

/// What comes behind it in its order. A comparison of rows is a range of an index when all columns run in one direction.
fn push_after(statement: &mut QueryBuilder<Postgres>, after: &After) {
    match after {
        After::Newest(micros, id) => {
            statement.push(" and (created_at, id) < (").push_bind(cursor::instant(*micros)).push(", ").push_bind(*id);
            statement.push(") order by created_at desc, id desc");
        }
        After::Popular(popularity, id) => {
            statement.push(" and (popularity, id) < (").push_bind(*popularity).push(", ").push_bind(*id);
            statement.push(") order by popularity desc, id desc");
        }
        After::PriceAsc(price, id) => {
            statement.push(" and (base_price, id) > (").push_bind(*price).push(", ").push_bind(*id);
            statement.push(") order by base_price, id");
        }
        After::PriceDesc(price, id) => {
            statement.push(" and (base_price, id) < (").push_bind(*price).push(", ").push_bind(*id);
            statement.push(") order by base_price desc, id desc");
        }
        After::Name(name, id) => {
            statement.push(" and (name collate \"C\", id) > (").push_bind(name.clone()).push(", ").push_bind(*id);
            statement.push(") order by name collate \"C\", id");
        }
        After::Relevance(relevance, popularity, id) => {
            statement.push(" and (relevance, popularity, id) < (").push_bind(*relevance).push(", ");
            statement.push_bind(*popularity).push(", ").push_bind(*id);
            statement.push(") order by relevance desc, popularity desc, id desc");
        }
    }
}

#[derive(FromRow)]
struct ListedRow {
    id: Uuid,
    slug: String,
    name: String,
    brand: String,
    base_price: i64,
    currency: String,
    availability: String,
    version: i64,
    created_at: OffsetDateTime,
    popularity: i64,
    relevance: i64,
}

impl From<ListedRow> for Listed {
    fn from(row: ListedRow) -> Self {
        let ListedRow { id, slug, name, brand, base_price, currency, availability, created_at, popularity, .. } = row;
        let (price, images) = (Money { amount: base_price, currency }, [Image::of(id, row.version)]);
        Self { id, slug, name, brand, price, availability, images, created_at, popularity, relevance: row.relevance }
    }
}

#[cfg(test)]
mod plans;
