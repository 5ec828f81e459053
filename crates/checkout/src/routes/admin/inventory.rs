use axum::Extension;
use axum::extract;
use axum::http::StatusCode;
use forebay_platform::audit::Entry;
use forebay_platform::db::Tx;
use forebay_platform::extract::{IdempotencyKey, Json, Query};
use forebay_platform::identity::Admin;
use forebay_platform::page::Page;
use forebay_pool::Admission;
use serde_json::json;

use super::{Asked, change};
use crate::answer::Answer;
use crate::domain::{Adjust, Adjusted, Adjustment, MOST_ON_HAND, Stock, StockQuery, StockView};
use crate::error::Error;
use crate::{State, store};

/// What is on the shelf, by SKU.
#[utoipa::path(
    get, path = "/v1/admin/inventory", operation_id = "stock", tag = "admin", params(StockQuery),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The page", body = Page<StockView>, headers(("Link" = String))),
        (status = 400, description = "`invalid-cursor`: it is of another list; or a parameter is malformed"),
    )
)]
pub(crate) async fn list(
    extract::State(state): extract::State<State>,
    Extension(admission): Extension<Admission>,
    _admin: Admin,
    Query(query): Query<StockQuery>,
) -> Result<Page<StockView>, Error> {
    let (page, below) = query.parse().map_err(Error::Page)?;
    let after = page.after().map_or("", String::as_str);
    let mut lease = state.db.acquire(&admission).await?;
    let rows = store::inventory::page(&mut lease.conn(), after, below, page.rows()).await?;
    drop(lease);
    Ok(page.cut(rows, |row| row.sku.clone()))
}

/// Puts units on the shelf, or takes them away.
#[utoipa::path(
    post, path = "/v1/admin/inventory/{sku}/adjustments", operation_id = "adjust_stock", tag = "admin",
    params(("sku" = String, Path), IdempotencyKey), security(("bearer" = ["admin"])),
    responses(
        (status = 201, description = "What there is now", body = Adjusted),
        (status = 404, description = "The catalog does not know it"),
        (status = 409, description = "`insufficient-stock`: so much is not there, or is reserved; or `idempotency-in-flight`"),
    )
)]
pub(crate) async fn adjust(asked: Asked<String>, Json(wanted): Json<Adjust>) -> Result<Answer, Error> {
    let claim = asked.claim("stock.adjust", &wanted);
    let adjustment = wanted.check(asked.of.clone(), asked.admin.0.user_id, asked.now)?;
    change(&asked, &claim, async |tx| write(tx, &asked.admin, adjustment).await).await
}

async fn write(tx: &mut Tx<'_>, admin: &Admin, adjustment: Adjustment) -> Result<(Answer, Entry), Error> {
    store::inventory::make_place(&mut tx.conn(), &adjustment.sku).await?;
    let Some(stock) = store::inventory::adjust(&mut tx.conn(), &adjustment).await? else {
        return Err(refusal(store::inventory::find(&mut tx.conn(), &adjustment.sku).await?, &adjustment));
    };
    let before = json!({ "on_hand": stock.on_hand - adjustment.delta });
    let after = json!({ "on_hand": stock.on_hand, "reason": adjustment.reason });
    let entry = Entry::by(admin, "stock.adjust", "sku", &adjustment.sku).before(&before).after(&after);
    Ok((Answer::done(StatusCode::CREATED, &Adjusted::new(adjustment, stock)), entry))
}

/// Why that cannot be.
fn refusal(stock: Option<Stock>, adjustment: &Adjustment) -> Error {
    match stock {
        None => Error::NotFound("sku"),
        Some(_) if adjustment.delta > 0 => {
            Error::invalid("/delta", &format!("would put more than {MOST_ON_HAND} units on the shelf"))
        }
        Some(stock) => Error::NotOnShelf(stock),
    }
}
