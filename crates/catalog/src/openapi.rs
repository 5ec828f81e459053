//! The description of this service: its operations, as their handlers say them.

use utoipa::OpenApi;

use crate::routes;

#[derive(OpenApi)]
#[openapi(paths(
    routes::list,
    routes::product,
), tags(
    (name = "products", description = "What there is"),
))]
struct Described;

/// What of the API is this service's own; `platform::openapi::complete` adds what all operations have in common.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}
