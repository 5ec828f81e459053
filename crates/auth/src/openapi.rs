//! The description of this service: its operations, as their handlers say them.

use utoipa::OpenApi;

use crate::routes;

#[derive(OpenApi)]
#[openapi(paths(
    routes::register,
    routes::login,
    routes::refresh,
    routes::sessions::logout,
    routes::sessions::logout_all,
    routes::me::read,
    routes::me::change,
    routes::me::change_password,
    routes::sessions::list,
    routes::sessions::end,
    routes::addresses::list,
    routes::addresses::create,
    routes::addresses::read,
    routes::addresses::replace,
    routes::addresses::remove,
    routes::audit::list,
    routes::key_set,
    routes::revoked_sessions,
), tags(
    (name = "auth", description = "Coming in, staying in, going out"),
    (name = "account", description = "What users see and change of theirs"),
    (name = "verification", description = "What others verify access tokens by"),
))]
struct Described;

/// What of the API is this service's own; `platform::openapi::complete` adds what all operations have in common.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}
