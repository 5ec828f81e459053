//! One request and its answer, between hyper and the router.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{ALLOW, HOST},
    request::Parts,
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use tower_service::Service as _;

use super::{refusal, state::State};
use crate::problem::{Code, Problem};

/// The listener ended the connection when the request came. Nothing was looked at.
#[derive(Debug, thiserror::Error)]
#[error("the connection was ended")]
pub(super) struct Ended;

/// Answers a request that came whole as far as its head. Dropping the future drops the handler.
pub(super) async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    mut router: Router,
    state: Arc<State>,
) -> Result<Response<ResponseBody>, Ended> {
    if !state.begin() {
        return Err(Ended);
    }
    let (mut head, body) = request.into_parts();
    let mut response = if let Some(fault) = fault_of_host(&head) {
        refusal::response(&head.headers, Problem::new(Code::InvalidRequest).detail(fault))
    } else {
        // The door asks who sends a request.
        head.extensions.insert(ConnectInfo(peer));
        let body =
            if body.is_end_stream() { Body::empty() } else { Body::new(Asked { body, state: Arc::clone(&state) }) };
        router.call(Request::from_parts(head, body)).await.unwrap_or_else(|never: Infallible| match never {})
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        space_methods(response.headers_mut());
    }
    state.answering();
    Ok(response.map(|body| ResponseBody { body, state }))
}

/// Writes `Allow` as RFC 9110 writes lists. axum leaves the spaces out, and adds it after every layer.
fn space_methods(headers: &mut HeaderMap) {
    let methods = headers.get(ALLOW).and_then(|methods| methods.to_str().ok());
    let spaced = methods.map(|methods| methods.split(',').map(str::trim).collect::<Vec<_>>().join(", "));
    if let Some(spaced) = spaced.and_then(|methods| HeaderValue::try_from(methods).ok()) {
        headers.insert(ALLOW, spaced);
    }
}

/// RFC 9112, section 3.2: a request names its host once, and only those of HTTP/1.0 need not.
fn fault_of_host(head: &Parts) -> Option<&'static str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Some("Host must be sent once"),
        (None, _) if head.version > Version::HTTP_10 => Some("Host must be sent"),
        (Some(host), None) if !is_host(host) => Some("Host must be a host name and perhaps a port"),
        _ => None,
    }
}

fn is_host(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte))
}

/// A request's body, which notes that it is waited for.
struct Asked {
    body: Incoming,
    state: Arc<State>,
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match frame {
            Poll::Pending => {
                self.state.wants_body();
                Poll::Pending
            }
            Poll::Ready(_) if !self.state.has_body() => Poll::Ready(Some(Err(Ended.into()))),
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Asked {
    /// Who drops it does not wait for it any more.
    fn drop(&mut self) {
        self.state.has_body();
    }
}

/// An answer's body, which notes that all of it was made.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    state: Arc<State>,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.state.answered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_that_are_allowed_are_a_list_as_others() {
        let mut headers = HeaderMap::new();
        space_methods(&mut headers);
        assert!(headers.is_empty());
        for (written, wanted) in [("GET,HEAD", "GET, HEAD"), ("GET, HEAD,POST", "GET, HEAD, POST"), ("POST", "POST")] {
            headers.insert(ALLOW, HeaderValue::from_static(written));
            space_methods(&mut headers);
            assert_eq!(headers[ALLOW], wanted);
        }
    }

    #[test]
    fn a_host_is_named_once_and_by_what_can_be_one() {
        let fault = |version, hosts: &[&str]| {
            let mut request = Request::builder().version(version);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            fault_of_host(&request.body(()).unwrap().into_parts().0).is_some()
        };
        for host in ["shop.example", "127.0.0.1:8080", "[::1]:8080", "", "xn--a-1ga.example"] {
            assert!(!fault(Version::HTTP_11, &[host]), "{host}");
        }
        for host in ["a b", "user@shop.example", "shop.example/path", "a\"b"] {
            assert!(fault(Version::HTTP_11, &[host]), "{host}");
        }
        assert!(fault(Version::HTTP_11, &[]) && !fault(Version::HTTP_10, &[]));
        assert!(fault(Version::HTTP_11, &["a", "a"]) && fault(Version::HTTP_10, &["a", "b"]));
    }
}
