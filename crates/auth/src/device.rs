//! Devices that were let in before: a signed cookie that a browser keeps, as OWASP describes it
//! (<https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies>).
//!
//! It logs nobody in. It says that whoever sends it has once given the right password of this account, so that others who
//! guess do not slow this one down.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const NAME: &str = "__Secure-forebay-device";
/// A year.
const ATTRIBUTES: &str = "Path=/v1/auth/login; Max-Age=31536000; HttpOnly; Secure; SameSite=Strict";

/// One device of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Device(pub(crate) [u8; 16]);

/// Signs and checks cookies, for every replica that has the same signing key.
#[derive(Clone)]
pub(crate) struct Devices(Hmac<Sha256>);

impl Devices {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The cookie of a device that was let into this account just now.
    pub(crate) fn cookie(&self, account: &str) -> HeaderValue {
        let device = rand::random::<[u8; 16]>();
        let signature = self.signed(device, account).finalize().into_bytes();
        let value = URL_SAFE_NO_PAD.encode([&device[..], &signature].concat());
        HeaderValue::try_from(format!("{NAME}={value}; {ATTRIBUTES}")).expect("base64url and names are plain ASCII")
    }

    /// The device that sends these headers, if it was let into this account before.
    pub(crate) fn known(&self, headers: &HeaderMap, account: &str) -> Option<Device> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == NAME)?;
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (device, signature) = bytes.split_first_chunk::<16>()?;
        self.signed(*device, account).verify_slice(signature).ok()?;
        Some(Device(*device))
    }

    fn signed(&self, device: [u8; 16], account: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(&device);
        mac.update(account.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let headers = [(COOKIE, HeaderValue::try_from(format!("theme=dark; {pair}")).unwrap())];
        headers.into_iter().collect()
    }

    #[test]
    fn a_device_is_known_to_the_account_that_let_it_in_and_to_no_other() {
        let devices = Devices::new(b"secret");
        let (one, two) = (sent(&devices.cookie("ada@shop.example")), sent(&devices.cookie("ada@shop.example")));
        let known = |headers: &HeaderMap| devices.known(headers, "ada@shop.example");
        assert!(known(&one).is_some() && known(&one) == known(&one));
        assert_ne!(known(&one), known(&two), "each is a device of its own");
        assert_eq!(devices.known(&one, "eve@shop.example"), None);
        assert_eq!(Devices::new(b"another").known(&one, "ada@shop.example"), None);
        assert_eq!(known(&HeaderMap::new()), None);
        let made_up = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("__Secure-forebay-device=AAAA"))]);
        assert_eq!(known(&made_up), None);
    }

    #[test]
    fn no_script_and_no_other_site_sees_the_cookie() {
        let cookie = Devices::new(b"secret").cookie("ada@shop.example");
        let text = cookie.to_str().unwrap();
        for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/v1/auth/login"] {
            assert!(text.contains(attribute), "{text}");
        }
        assert!(!text.contains("ada"), "{text}");
    }
}
