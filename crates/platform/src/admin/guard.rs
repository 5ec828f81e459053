//! Who may use an admin listener.
//!
//! Two kinds of strangers reach it. A web page that gave its own name our address (DNS rebinding) sends requests through
//! the browser of somebody on this machine: its `Host` or `Origin` shows it. And where the listener is open to other
//! machines, so do they: there a token is asked for.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, HOST, ORIGIN},
    request::Parts,
    uri::Authority,
};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::page;
use crate::{
    client::{CLIENT, Client},
    problem::{Code, Problem},
    security::{self, Event},
    serve::guarded,
};

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Says who may use an admin listener: see [`over`](Self::over). A clone is cheap.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    listens: SocketAddr,
    names: Names,
    tokens: Option<Tokens>,
}

/// Who sends an admin request: the name of the token that was shown, or nobody known. From where is in
/// [`CLIENT`](crate::client::CLIENT).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator(Option<Arc<str>>);

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("no token"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self(None)))
    }
}

impl Guard {
    /// For a listener at `listens`. Without `tokens` whoever reaches it may use it, so it must then be on loopback.
    #[must_use]
    pub fn new(listens: SocketAddr, names: Names, tokens: Option<Tokens>) -> Self {
        Self(Arc::new(Rules { listens, names, tokens }))
    }

    /// Guards every route of `router`.
    ///
    /// A `Host` is answered 421 that is not `localhost`, a loopback address, the listener's own address or one of the names;
    /// an `Origin` other than the `Host` 403. Where there are tokens every route wants one as bearer, else 401; but
    /// `/livez` and `/readyz` do not, nor does the page at `/`, which asks for one itself. A listener on all addresses does not
    /// know its own: it takes every `Host` that is an address, which no page can have that was loaded by a name.
    pub fn over(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, watch))
    }

    fn judge(&self, request: &Request) -> Result<Operator, Problem> {
        let Rules { tokens, .. } = &*self.0;
        let headers = request.headers();
        let hosts = headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        if !hosts.chain(target).all(|host| self.knows(host)) {
            let detail = "the Host is none of this listener's; to allow a name put it into FOREBAY_ADMIN_HOSTS";
            return Err(Problem::new(Code::MisdirectedRequest).detail(detail));
        }
        if !headers.get_all(ORIGIN).iter().all(|origin| is_own(origin, headers)) {
            return Err(Problem::new(Code::ForeignOrigin).detail("pages of other origins have no business here"));
        }
        let path = request.uri().path();
        let open = matches!(path, "/livez" | "/readyz") || page::is_part(path);
        match tokens {
            Some(tokens) if !open => tokens.operator(headers),
            _ => Ok(Operator(None)),
        }
    }

    fn knows(&self, host: &[u8]) -> bool {
        let Rules { listens, names, .. } = &*self.0;
        let Ok(authority) = Authority::try_from(host) else { return false };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if authority.as_str().contains('@') {
            return false;
        }
        match host.parse::<std::net::IpAddr>() {
            Ok(address) => {
                let (address, own) = (address.to_canonical(), listens.ip().to_canonical());
                address.is_loopback() || own == address || own.is_unspecified()
            }
            Err(_name) => names.has(host.trim_end_matches('.')),
        }
    }
}

/// A page of this listener itself, by whatever scheme a proxy before it speaks.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

async fn watch(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let client = Client::of_request(request.extensions());
    let answered = async {
        match guard.judge(&request) {
            Ok(operator) => {
                request.extensions_mut().insert(operator);
                next.run(request).await
            }
            Err(problem) => {
                let what = format!("{} {}", request.method(), request.uri().path());
                security::record(Event::AdminRefused { what: &what }, None);
                problem.into_response()
            }
        }
    };
    guarded(CLIENT.scope(client, answered).await)
}

/// Names by which an admin listener may be called, besides `localhost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    fn has(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("localhost") || self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Host names without ports, separated by commas.
impl FromStr for Names {
    type Err = WrongName;

    fn from_str(text: &str) -> Result<Self, WrongName> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let names = names.map(|name| name.bytes().all(plain).then(|| name.to_owned()).ok_or(WrongName));
        names.collect::<Result<_, _>>().map(Self)
    }
}

/// What is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be host names without ports, separated by commas")]
pub struct WrongName;

/// What an operator shows; each has a name, which is logged.
#[derive(Clone, Debug)]
pub struct Tokens(Vec<(Arc<str>, SecretString)>);

impl Tokens {
    /// Whether one of them begins like this. To find those that are published as examples.
    #[must_use]
    pub fn any_begins_with(&self, start: &str) -> bool {
        self.0.iter().any(|(_, token)| token.expose_secret().starts_with(start))
    }

    /// Compares with all of them, in a time that says nothing of which was close.
    fn operator(&self, headers: &HeaderMap) -> Result<Operator, Problem> {
        let detail = "send Authorization: Bearer with a token of FOREBAY_ADMIN_TOKEN";
        let problem = Problem::new(Code::Unauthenticated).detail(detail);
        let Some(shown) = headers.get(AUTHORIZATION) else { return Err(problem) };
        let shown = shown.to_str().ok().and_then(|shown| shown.split_once(' '));
        let shown =
            shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map_or("", |(_, token)| token.trim());
        let matching = self.0.iter().fold(None, |found, (name, token)| {
            let same = bool::from(token.expose_secret().as_bytes().ct_eq(shown.as_bytes()));
            if same { Some(Arc::clone(name)) } else { found }
        });
        match matching {
            Some(name) => Ok(Operator(Some(name))),
            None => Err(problem.token_error("invalid_token")),
        }
    }
}

/// `TOKEN`, or `NAME:TOKEN`, several separated by commas. A token has at least 16 characters, all of them letters, digits or
/// one of `-._~+/=`.
impl FromStr for Tokens {
    type Err = WrongToken;

    fn from_str(text: &str) -> Result<Self, WrongToken> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let one = |part: &str| {
            let (name, token) = part.split_once(':').unwrap_or(("operator", part));
            let holds = token.len() >= SHORTEST_TOKEN && token.bytes().all(plain) && !name.is_empty();
            let holds = holds && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            holds.then(|| (name.into(), token.into())).ok_or(WrongToken)
        };
        text.split(',').map(str::trim).map(one).collect::<Result<_, _>>().map(Self)
    }
}

/// What is no token. Shows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be TOKEN or NAME:TOKEN, several separated by commas, each token of at least 16 letters and digits")]
pub struct WrongToken;

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    fn guard(listens: &str, names: &str, tokens: Option<&str>) -> Guard {
        let tokens = tokens.map(|tokens| tokens.parse().unwrap());
        Guard::new(listens.parse().unwrap(), names.parse().unwrap(), tokens)
    }

    async fn asked(guard: &Guard, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let who = async |operator: Operator| operator.to_string();
        let router =
            Router::new().route("/livez", get(who)).route("/readyz", get(who)).route("/pool", get(who).post(who));
        let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
        let request = if path == "/pool" { request } else { request.method("GET") };
        let answer = guard.clone().over(router).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn of_host(guard: &Guard, host: &str) -> u16 {
        asked(guard, "/pool", &[("host", host)]).await.0
    }

    #[tokio::test]
    async fn a_page_that_gave_its_own_name_our_address_gets_nothing() {
        let guard = guard("127.0.0.1:9090", "", None);
        for own in ["localhost:9090", "LOCALHOST", "localhost.", "127.0.0.1:9090", "127.8.8.8", "[::1]:9090"] {
            assert_eq!(of_host(&guard, own).await, 200, "{own}");
        }
        for foreign in [
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example@127.0.0.1",
            "10.1.2.3:9090",
            "[::ffff:10.1.2.3]",
            "",
            "local host",
        ] {
            assert_eq!(of_host(&guard, foreign).await, 421, "{foreign}");
        }
        assert_eq!(asked(&guard, "/livez", &[("host", "evil.example")]).await.0, 421, "no route is left out");
        assert_eq!(asked(&guard, "/pool", &[]).await.0, 200, "a browser always says it");
        let two = [("host", "127.0.0.1"), ("host", "evil.example")];
        assert_eq!(asked(&guard, "/pool", &two).await.0, 421);
    }

    #[tokio::test]
    async fn no_browser_guesses_what_it_got_and_none_keeps_it() {
        let router = guard("127.0.0.1:9090", "", None).over(Router::new().route("/pool", get(async || "the pool")));
        for host in ["127.0.0.1", "evil.example"] {
            let request = Request::get("/pool").header("host", host).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{host}");
            assert_eq!(answer.headers()["cache-control"], "private, no-store", "{host}");
        }
    }

    #[tokio::test]
    async fn the_target_of_the_request_is_looked_at_as_the_host_is() {
        let guard = guard("127.0.0.1:9090", "", None);
        assert_eq!(asked(&guard, "http://evil.example/pool", &[("host", "127.0.0.1")]).await.0, 421);
    }

    #[tokio::test]
    async fn an_origin_is_the_listener_itself() {
        let guard = guard("127.0.0.1:9090", "", None);
        let host = ("host", "127.0.0.1:9090");
        for (origin, status) in [
            ("http://127.0.0.1:9090", 200),
            ("http://127.0.0.1:3000", 403),
            ("http://localhost:9090", 403),
            ("http://evil.example:9090", 403),
            ("null", 403),
        ] {
            let (answered, said) = asked(&guard, "/pool", &[host, ("origin", origin)]).await;
            assert_eq!(answered, status, "{origin}: {said}");
        }
    }

    #[tokio::test]
    async fn a_name_is_known_when_it_is_set_and_an_address_where_all_are_listened_on() {
        let set = guard("10.0.0.7:9090", "catalog, metrics.shop.internal", None);
        for (host, status) in
            [("catalog:9090", 200), ("Metrics.shop.internal", 200), ("10.0.0.7", 200), ("10.0.0.8", 421), ("auth", 421)]
        {
            assert_eq!(of_host(&set, host).await, status, "{host}");
        }
        let all = guard("0.0.0.0:9090", "", None);
        assert_eq!((of_host(&all, "172.18.0.5:9090").await, of_host(&all, "evil.example").await), (200, 421));
    }

    #[tokio::test]
    async fn where_there_are_tokens_all_but_the_probes_wants_one() {
        let guard = guard("0.0.0.0:9090", "", Some("old:0123456789abcdef, new:fedcba9876543210"));
        let with =
            async |path: &str, authorization: &str| asked(&guard, path, &[("authorization", authorization)]).await;
        assert_eq!(asked(&guard, "/livez", &[]).await, (200, "no token".to_owned()));
        assert_eq!(asked(&guard, "/readyz", &[]).await.0, 200);
        let (status, said) = asked(&guard, "/pool", &[]).await;
        assert!(status == 401 && said.contains("FOREBAY_ADMIN_TOKEN"), "{said}");
        assert_eq!(with("/pool", "Bearer 0123456789abcdef").await, (200, "old".to_owned()));
        assert_eq!(with("/pool", "bearer fedcba9876543210").await, (200, "new".to_owned()));
        for wrong in ["Bearer 0123456789abcdee", "Bearer", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef"] {
            assert_eq!(with("/pool", wrong).await.0, 401, "{wrong}");
        }
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused_and_none_is_shown() {
        for wrong in [
            "",
            "short",
            "name:short",
            ":0123456789abcdef",
            "0123456789abcdef,",
            "0123456789 abcdef",
            "a b:0123456789abcdef",
        ] {
            let fault = wrong.parse::<Tokens>().unwrap_err();
            assert!(wrong.is_empty() || !fault.to_string().contains(wrong), "{fault}");
        }
        let tokens: Tokens = "ops:0123456789abcdef".parse().unwrap();
        assert!(!format!("{tokens:?}").contains("0123456789abcdef"));
        assert!("catalog:9090".parse::<Names>().is_err() && "a b".parse::<Names>().is_err());
    }
}
