//! The description of this service: its operations, as their handlers say them.

use utoipa::OpenApi;

use crate::routes;

#[derive(OpenApi)]
#[openapi(paths(
    routes::products::list,
    routes::products::read,
    routes::products::image,
    routes::categories::tree,
    routes::categories::one,
    routes::admin::read,
    routes::admin::create,
    routes::admin::change,
    routes::admin::change_sku,
    routes::admin::archive,
    routes::admin::create_category,
), tags(
    (name = "products", description = "What there is"),
    (name = "products for admins", description = "What there is, as those who run the shop see and change it"),
))]
struct Described;

/// What of the API is this service's own; `platform::openapi::complete` adds what all operations have in common.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}
