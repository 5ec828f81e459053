//! The public address of the shop that is driven.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

/// A host and its port, spoken to in plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Authority);

impl Target {
    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.0
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = |fault: &str| format!("{fault}: give the shop's public address, such as http://127.0.0.1:8080");
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| wanted(&error.to_string()))?;
        match uri.scheme_str() {
            None | Some("http") => {}
            Some("https") => return Err(wanted("TLS is not spoken here, only plain HTTP")),
            Some(_) => return Err(wanted("only plain HTTP is spoken here")),
        }
        if uri.path_and_query().is_some_and(|rest| rest != "/") {
            return Err(wanted("an address ends after its port, and paths are added to it"));
        }
        let authority = uri.into_parts().authority.filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wanted("there is no host in it"))?;
        if authority.as_str().contains('@') {
            return Err(wanted("no user belongs into it"));
        }
        Ok(Self(authority))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "127.0.0.1:8080"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), "http://127.0.0.1:8080", "{text}");
        }
        assert_eq!("http://[::1]:8080".parse::<Target>().unwrap().to_string(), "http://[::1]:8080");
        assert_eq!("http://shop".parse::<Target>().unwrap().to_string(), "http://shop");
    }

    #[test]
    fn anything_else_is_refused_with_what_to_do() {
        let wrong =
            ["https://shop", "ftp://shop", "http://shop/v1", "http://shop/?a=b", "http://a:b@shop", "/v1", "", "a b"];
        for text in wrong {
            let fault = text.parse::<Target>().unwrap_err();
            assert!(fault.contains("http://127.0.0.1:8080"), "{text}: {fault}");
        }
    }
}
