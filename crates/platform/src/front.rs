//! A static front at `/`, without a build step: a page for browsers with what it loads, and commands for `curl`.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_FRAME_OPTIONS},
};

use crate::{etag::Document, visitor};

/// The media type of a script.
pub const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The media type of a style sheet.
pub const STYLE: &str = "text/css; charset=utf-8";
/// The media type of a drawing.
pub const DRAWING: &str = "image/svg+xml";

/// No script, style or picture but our own, none of them inside the page, and no text that becomes HTML.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// What `/` answers.
#[derive(Clone, Copy, Debug)]
pub struct Front {
    /// HTML, with no script, style or picture inside.
    pub page: &'static str,
    /// Plain text for who does not ask for HTML.
    pub commands: &'static str,
    /// The address in the commands, in whose place the request's own host is put when it can be shown.
    pub usual_host: &'static str,
    /// Who may keep the page and what it loads: `public` or `private`. Each is asked for by its tag every time, so that no old
    /// script meets a new page.
    pub kept_by: &'static str,
    /// The page's `Referrer-Policy`.
    pub referrer: &'static str,
}

impl Front {
    /// `/`, and what the page loads: paths with their media types and texts.
    pub fn router<S: Clone + Send + Sync + 'static>(
        self,
        assets: impl IntoIterator<Item = (&'static str, &'static str, Bytes)>,
    ) -> Router<S> {
        let page = Arc::new(self.page());
        let root = get(move |headers: HeaderMap| async move { self.answer(&page, &headers) });
        assets.into_iter().fold(Router::new().route("/", root), |router, (path, kind, text)| {
            let document = Arc::new(self.document(kind, text));
            router.route(path, get(move |headers: HeaderMap| async move { document.answer(&headers) }))
        })
    }

    fn document(self, kind: &'static str, text: Bytes) -> Document {
        let policy = format!("{}, no-cache", self.kept_by);
        let policy = HeaderValue::from_str(&policy).expect("a word of this program");
        Document::new(text, HeaderValue::from_static(kind), policy)
    }

    fn page(self) -> Document {
        let headers = [
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, self.referrer),
            (X_FRAME_OPTIONS, "DENY"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (VARY, "Accept"),
        ];
        let page = self.document("text/html; charset=utf-8", Bytes::from_static(self.page.as_bytes()));
        headers.into_iter().fold(page, |page, (name, value)| page.with(name, HeaderValue::from_static(value)))
    }

    /// The page for who asks for HTML, the commands for everybody else.
    fn answer(self, page: &Document, request: &HeaderMap) -> Response {
        if visitor::wants_html(request) {
            return page.answer(request);
        }
        let commands = self.commands.replace(self.usual_host, visitor::host(request).unwrap_or(self.usual_host));
        ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "Accept")], commands).into_response()
    }
}
