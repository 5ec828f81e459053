//! Where an issuer publishes its keys.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{InvalidUri, Scheme};

/// The address of a key set, such as `http://auth:8080/.well-known/jwks.json`. Plain HTTP alone: whoever can answer in
/// the issuer's place can make tokens, so the way there must be a private network, or lead through a proxy that speaks
/// TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUri(Uri);

/// Why an address is none of a key set.
#[derive(Debug, thiserror::Error)]
pub enum InvalidJwksUri {
    /// No URI at all.
    #[error("is no URI: {0}")]
    Malformed(#[from] InvalidUri),
    /// Another scheme, or none.
    #[error("must begin with http:// (TLS is not built in: use a private network, or a proxy that adds it)")]
    Scheme,
    /// No host.
    #[error("names no host")]
    Host,
    /// User information before the host, which would be sent to nobody and shown in logs.
    #[error("must not hold a user name or password")]
    UserInfo,
    /// A port that is no number from 1 to 65535.
    #[error("must have a port from 1 to 65535, or none")]
    Port,
    /// The bare host, which is most likely an address that was cut short.
    #[error("must name the document, as in http://auth:8080/.well-known/jwks.json")]
    Path,
}

impl JwksUri {
    pub(super) fn as_uri(&self) -> &Uri {
        &self.0
    }

    /// The address of another document in the same folder.
    pub(super) fn beside(&self, document: &str) -> Uri {
        let folder = self.0.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = format!("{folder}/{document}").parse().ok();
        Uri::from_parts(parts).expect("with a scheme, a host and a path that begins with a slash it is a URI")
    }
}

impl TryFrom<Uri> for JwksUri {
    type Error = InvalidJwksUri;

    fn try_from(uri: Uri) -> Result<Self, InvalidJwksUri> {
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(InvalidJwksUri::Scheme);
        }
        let authority = uri.authority().ok_or(InvalidJwksUri::Host)?;
        let (host, port) = (authority.host(), authority.port_u16());
        if authority.as_str().contains('@') {
            return Err(InvalidJwksUri::UserInfo);
        }
        if host.is_empty() || host == "[]" {
            return Err(InvalidJwksUri::Host);
        }
        if port == Some(0) || (port.is_none() && authority.as_str() != host) {
            return Err(InvalidJwksUri::Port);
        }
        if uri.path() == "/" {
            return Err(InvalidJwksUri::Path);
        }
        Ok(Self(uri))
    }
}

impl FromStr for JwksUri {
    type Err = InvalidJwksUri;

    fn from_str(text: &str) -> Result<Self, InvalidJwksUri> {
        text.parse::<Uri>()?.try_into()
    }
}

impl fmt::Display for JwksUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_any_of_a_document_over_http() {
        let right = [
            "http://auth/keys",
            "http://auth:8080/.well-known/jwks.json",
            "HTTP://10.0.0.7:1/k?v=1",
            "http://[::1]:8080/k",
        ];
        for text in right {
            assert!(text.parse::<JwksUri>().is_ok(), "{text}");
        }
    }

    #[test]
    fn another_document_lies_in_the_same_folder() {
        for (keys, beside) in [
            ("http://auth:8080/.well-known/jwks.json", "http://auth:8080/.well-known/list"),
            ("http://auth/keys?v=1", "http://auth/list"),
            ("http://auth/a/b/", "http://auth/a/b/list"),
        ] {
            assert_eq!(keys.parse::<JwksUri>().unwrap().beside("list").to_string(), beside);
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let wrong = [
            ("", "is no URI"),
            ("http://", "is no URI"),
            ("http://a b/k", "is no URI"),
            ("auth:8080", "must begin with http://"),
            ("/.well-known/jwks.json", "must begin with http://"),
            ("https://auth/k", "TLS is not built in"),
            ("ftp://auth/k", "must begin with http://"),
            ("http://user:password@auth/k", "user name"),
            ("http://:8080/k", "no host"),
            ("http://auth:0/k", "port"),
            ("http://auth:65536/k", "port"),
            ("http://auth:/k", "port"),
            ("http://auth:8080", "must name the document"),
            ("http://auth:8080/", "must name the document"),
        ];
        for (text, said) in wrong {
            let error = text.parse::<JwksUri>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
