//! The shop front: what a browser shows at `/`, and what `curl` is told there.
//!
//! Static files without a build step, which know the public API and nothing else. They take no lease, so that the page comes
//! also where the pool refuses, and tells its reader so.

use axum::{Router, body::Bytes};
use forebay_platform::{
    front::{DRAWING, Front, SCRIPT, STYLE},
    problem,
    text::COUNTRIES,
};

/// What the page loads, by its path.
const ASSETS: [(&str, &str, &str); 10] = [
    ("/assets/api.js", SCRIPT, include_str!("../assets/api.js")),
    ("/assets/browse.js", SCRIPT, include_str!("../assets/browse.js")),
    ("/assets/buy.js", SCRIPT, include_str!("../assets/buy.js")),
    ("/assets/cart.js", SCRIPT, include_str!("../assets/cart.js")),
    ("/assets/dom.js", SCRIPT, include_str!("../assets/dom.js")),
    ("/assets/main.js", SCRIPT, include_str!("../assets/main.js")),
    ("/assets/orders.js", SCRIPT, include_str!("../assets/orders.js")),
    ("/assets/session.js", SCRIPT, include_str!("../assets/session.js")),
    ("/assets/style.css", STYLE, include_str!("../assets/style.css")),
    ("/assets/mark.svg", DRAWING, include_str!("../assets/mark.svg")),
];

const FRONT: Front = Front {
    page: include_str!("../assets/index.html"),
    commands: include_str!("../assets/commands.sh"),
    usual_host: "127.0.0.1:8080",
    kept_by: "public",
    referrer: "same-origin",
};

/// `/`, and what it loads from `/assets/`.
pub fn router() -> Router {
    let countries = format!("export const COUNTRIES = \"{COUNTRIES}\".split(\" \");\n");
    let assets = ASSETS.map(|(path, kind, text)| (path, kind, Bytes::from_static(text.as_bytes())));
    let assets = assets.into_iter().chain([("/assets/countries.js", SCRIPT, countries.into())]);
    FRONT.router(assets).method_not_allowed_fallback(problem::method_not_allowed)
}

#[cfg(test)]
mod tests;
