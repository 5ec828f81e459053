use std::fmt;
use std::net::IpAddr;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;

use super::seal;

/// Who a ticket is for: whoever has a token, a session, or an address. A ticket carries a hash of it, which tells nothing.
/// It is hashed when there is a ticket to write or to check: a request that is let in without one does not pay for it.
#[derive(Clone)]
pub struct Principal(Known);

#[derive(Clone)]
enum Known {
    Hash([u8; 32]),
    Header(HeaderValue),
    Sender(IpAddr, Option<HeaderValue>),
}

impl Principal {
    /// The principal of which these bytes are known, and nobody else's.
    ///
    /// ```
    /// use forebay_pool::tickets::Principal;
    /// assert_ne!(Principal::of("192.0.2.1"), Principal::of("192.0.2.2"));
    /// ```
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Known::Hash(seal::hash(&[bytes.as_ref()])))
    }

    /// Whoever the header of this name speaks of, if the request has it.
    ///
    /// ```
    /// use forebay_pool::tickets::Principal;
    /// let (request, ()) = http::Request::get("/").header("authorization", "Bearer a").body(()).unwrap().into_parts();
    /// assert_eq!(Principal::of_header(&request, &http::header::AUTHORIZATION), Some(Principal::of("Bearer a")));
    /// assert_eq!(Principal::of_header(&request, &http::header::COOKIE), None);
    /// ```
    #[must_use]
    pub fn of_header(request: &Parts, name: &HeaderName) -> Option<Self> {
        request.headers.get(name).map(|value| Self(Known::Header(value.clone())))
    }

    /// Whoever sends from this address; where proxies stand before the service, on behalf of whom they say, as in
    /// `X-Forwarded-For`.
    ///
    /// ```
    /// use forebay_pool::tickets::Principal;
    /// let (proxy, client) = ("192.0.2.1".parse().unwrap(), http::HeaderValue::from_static("198.51.100.7"));
    /// assert_ne!(Principal::of_sender(proxy, Some(&client)), Principal::of_sender(proxy, None));
    /// ```
    #[must_use]
    pub fn of_sender(peer: IpAddr, sent_for: Option<&HeaderValue>) -> Self {
        Self(Known::Sender(peer, sent_for.cloned()))
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        match &self.0 {
            Known::Hash(hash) => *hash,
            Known::Header(value) => seal::hash(&[value.as_bytes()]),
            Known::Sender(peer, sent_for) => {
                let (peer, sent_for) = (peer.to_string(), sent_for.as_ref().map_or(&b""[..], HeaderValue::as_bytes));
                seal::hash(&[&[peer.as_bytes(), b" ", sent_for].concat()])
            }
        }
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for Principal {}

/// Tells nothing: what it holds may be a token.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").finish_non_exhaustive()
    }
}
