//! Who sends a request, as far as can be known.
//!
//! That is the peer of the connection. Only when the peer is a proxy that the settings name is what it says of others
//! believed; anybody else could make it up.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Once,
};

use axum::extract::{ConnectInfo, OptionalFromRequestParts};
use http::{
    Extensions, HeaderMap,
    header::{FORWARDED, HeaderName},
    request::Parts,
};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

tokio::task_local! {
    /// Whose request this task serves, if it is known; set by the outermost layer.
    pub static CLIENT: Option<Client>;
}

/// A sender: an IPv4 address, or the /64 network of an IPv6 address, since one host may have all addresses of its network.
///
/// Shown, it is the wider network alone (/24 or /48), so that it may be logged.
///
/// ```
/// use forebay_platform::client::Client;
///
/// let client = |text: &str| Client::of(text.parse().expect("an address"));
/// assert_eq!(client("2001:db8:1:2::3"), client("2001:db8:1:2:3:4:5:6"));
/// assert_eq!(client("192.0.2.7").to_string(), "192.0.2.0/24");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(IpAddr);

impl Client {
    /// Whoever sends from this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
            four @ IpAddr::V4(_) => four,
        })
    }

    /// Whose request has these extensions: what the outermost layer found out, else the peer of the connection. None where
    /// there is no connection.
    #[must_use]
    pub fn of_request(extensions: &Extensions) -> Option<Self> {
        let found = extensions.get::<Self>().copied();
        found.or_else(|| extensions.get().map(|ConnectInfo::<SocketAddr>(peer)| Self::of(peer.ip())))
    }

    /// The same; of IPv6 the /48 network, which is what one site usually has.
    #[must_use]
    pub fn site(self) -> Self {
        match self.0 {
            IpAddr::V4(_) => self,
            IpAddr::V6(six) => Self(Ipv6Addr::from_bits(six.to_bits() & !(u128::MAX >> 48)).into()),
        }
    }

    /// Its address, or the first of its network. Not for a log.
    #[must_use]
    pub fn prefix(self) -> IpAddr {
        self.0
    }
}

/// The client, where it is known.
impl<S: Sync> OptionalFromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Self::of_request(&parts.extensions))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.0.is_ipv4() { 24 } else { 48 };
        match IpNet::new(self.0, width) {
            Ok(network) => write!(f, "{}", network.trunc()),
            Err(_impossible) => f.write_str("?"),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The proxies whose word on who sends a request is taken; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Who sends a request with these headers over a connection from `peer`.
    ///
    /// Behind a proxy that is one of these it is the last in `X-Forwarded-For` or `Forwarded` that is none of them. Proxies
    /// set one of the two and hand the other on as a client sent it: where they differ neither is believed, and the
    /// sender counts as the proxy itself.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            warn_of_unnamed(peer, headers);
            return Client::of(peer);
        }
        let told = self.last_stranger(peer, headers, &X_FORWARDED_FOR, address_of_list);
        let forwarded = self.last_stranger(peer, headers, &FORWARDED, address_of_forwarded);
        Client::of(match (told, forwarded) {
            (Some(told), Some(forwarded)) if told != forwarded => peer,
            (told, forwarded) => told.or(forwarded).unwrap_or(peer),
        })
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// None where the header is not there. What cannot be read ends the chain: the proxy that handed it on is the last known.
    fn last_stranger(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        name: &HeaderName,
        address: fn(&str) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let mut known = headers.contains_key(name).then_some(peer)?;
        let lines = headers.get_all(name).iter().rev();
        for hop in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
            let Some(address) = address(hop) else { break };
            known = address.to_canonical();
            if !self.trust(known) {
                break;
            }
        }
        Some(known)
    }
}

/// All who come through a proxy that is not named count as one client, and would be refused as one. Said once.
fn warn_of_unnamed(peer: IpAddr, headers: &HeaderMap) {
    static SAID: Once = Once::new();
    let near = match peer {
        IpAddr::V4(four) => four.is_private() || four.is_loopback(),
        IpAddr::V6(six) => six.is_unique_local() || six.is_loopback(),
    };
    if near && !SAID.is_completed() && (headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED)) {
        SAID.call_once(|| {
            tracing::warn!(%peer, "a proxy hands on requests and is not in FOREBAY_TRUSTED_PROXIES: whoever it serves is one client");
        });
    }
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn address_of_list(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.parse().ok().or_else(|| hop.parse().ok().map(|socket: SocketAddr| socket.ip()));
    bare.or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// The `for` of one element (RFC 7239), such as `for="[2001:db8::1]:4711";proto=https`.
fn address_of_forwarded(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    address_of_list(node.trim_matches('"'))
}

impl FromStr for Proxies {
    type Err = InvalidProxies;

    /// Addresses and networks with commas between: `10.0.0.0/8, 192.0.2.7`.
    fn from_str(text: &str) -> Result<Self, InvalidProxies> {
        let network = |entry: &str| {
            let entry = entry.trim();
            let network = entry.parse::<IpAddr>().map(IpNet::from).or_else(|_| entry.parse::<IpNet>());
            network.map_err(|_neither| InvalidProxies(entry.to_owned()))
        };
        text.split(',').map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// An entry that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProxies(String);

impl fmt::Display for InvalidProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither an IP address nor a network", self.0)
    }
}

impl Error for InvalidProxies {}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Who sends, when `proxies` are trusted and 10.0.0.1 is the peer.
    fn sender(proxies: &str, headers: &[(&'static str, &'static str)]) -> IpAddr {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        proxies.parse::<Proxies>().unwrap().client(ip("10.0.0.1"), &pairs.collect()).0
    }

    #[test]
    fn nobody_but_a_proxy_that_is_named_says_who_sends() {
        let claimed = [("x-forwarded-for", "192.0.2.7")];
        assert_eq!(Proxies::default().client(ip("10.0.0.1"), &HeaderMap::new()).0, ip("10.0.0.1"));
        assert_eq!(sender("10.0.0.2", &claimed), ip("10.0.0.1"));
        assert_eq!(sender("10.0.0.1", &claimed), ip("192.0.2.7"));
        assert_eq!(sender("10.0.0.0/8", &[]), ip("10.0.0.1"));
    }

    #[test]
    fn the_sender_is_the_last_that_is_no_proxy() {
        let chain = [("x-forwarded-for", "198.51.100.1, 192.0.2.7"), ("x-forwarded-for", "10.0.0.9")];
        assert_eq!(sender("10.0.0.0/8", &chain), ip("192.0.2.7"));
        assert_eq!(sender("10.0.0.1", &chain), ip("10.0.0.9"));
        assert_eq!(sender("10.0.0.0/8", &[("x-forwarded-for", "192.0.2.7, what is this")]), ip("10.0.0.1"));
        assert_eq!(sender("10.0.0.0/8", &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")]), ip("10.0.0.3"));
        assert_eq!(sender("10.0.0.0/8", &[("x-forwarded-for", "192.0.2.7:4711")]), ip("192.0.2.7"));
    }

    #[test]
    fn forwarded_is_read_too_and_neither_is_believed_when_they_differ() {
        let six = [("forwarded", "for=198.51.100.1, For=\"[2001:db8::7]:4711\";proto=https")];
        assert_eq!(sender("10.0.0.1", &six), ip("2001:db8::"));
        let both = |told| [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", told)];
        assert_eq!(sender("10.0.0.1", &both("192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(sender("10.0.0.1", &both("192.0.2.8")), ip("10.0.0.1"));
        assert_eq!(sender("10.0.0.1", &[("forwarded", "for=_hidden")]), ip("10.0.0.1"));
    }

    #[test]
    fn an_address_of_ipv4_in_one_of_ipv6_is_the_same_client() {
        assert_eq!(Client::of(ip("::ffff:192.0.2.7")), Client::of(ip("192.0.2.7")));
        let six = Client::of(ip("2001:db8:1:2::7"));
        assert_eq!(six.to_string(), "2001:db8:1::/48");
        assert_eq!(six.site().prefix(), ip("2001:db8:1::"));
    }

    #[test]
    fn an_entry_that_is_no_network_is_named() {
        let said = "10.0.0.1, edge".parse::<Proxies>().unwrap_err().to_string();
        assert_eq!(said, "\"edge\" is neither an IP address nor a network");
    }
}
