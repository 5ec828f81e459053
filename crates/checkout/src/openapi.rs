//! The description of this service: its operations, as their handlers say them.

use utoipa::OpenApi;

use crate::routes;

#[derive(OpenApi)]
#[openapi(paths(
    routes::availability::exact,
    routes::availability::changes,
    routes::carts::create,
    routes::carts::read,
    routes::carts::read_own,
    routes::carts::put_item,
    routes::carts::remove_item,
    routes::carts::claim,
    routes::admin::inventory::list,
    routes::admin::inventory::adjust,
    routes::admin::orders::list,
    routes::admin::orders::read,
    routes::admin::orders::ship,
    routes::admin::orders::deliver,
    routes::admin::refunds::refund,
    routes::admin::returns::list,
    routes::admin::returns::approve,
    routes::admin::returns::reject,
    routes::admin::returns::receive,
    routes::orders::place,
    routes::orders::read,
    routes::orders::list,
    routes::orders::pay_again,
    routes::orders::cancel,
    routes::returns::request,
    routes::returns::list,
    routes::returns::read,
    routes::webhooks::payment,
), tags(
    (name = "stock", description = "What is to be had"),
    (name = "carts", description = "What is to be bought"),
    (name = "orders", description = "What was bought"),
    (name = "admin", description = "For those who run the shop"),
    (name = "returns", description = "What is sent back"),
))]
struct Described;

/// What of the API is this service's own; `platform::openapi::complete` adds what all operations have in common.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}
