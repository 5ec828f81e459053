//! Which trace a request belongs to ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    /// That of the request which this task serves, where its sender named one.
    pub static TRACE: Option<Trace>;
}

/// A place in a trace: its id, which the sender chose, and that of our part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    part: u64,
    flags: u8,
}

impl Trace {
    /// A new part of the trace that a request names in its one, valid `traceparent`.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Option<Self> {
        let mut sent = request.get_all(TRACEPARENT).iter();
        let (one, none) = (sent.next()?, sent.next());
        let (id, flags) = parse(one.to_str().ok()?)?;
        // Zero is no id.
        none.is_none().then(|| Self { id, part: rand::random::<u64>().max(1), flags })
    }

    /// That of the request which this task serves.
    #[must_use]
    pub fn current() -> Option<Self> {
        TRACE.try_with(|trace| *trace).ok().flatten()
    }

    /// As `traceparent`, for the answer and for requests to others.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        let text = format!("00-{self}-{:016x}-{:02x}", self.part, self.flags);
        HeaderValue::try_from(text).expect("hexadecimal digits are plain ASCII")
    }
}

/// The trace's id alone.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)
    }
}

/// The id and flags of `00-<32 digits>-<16 digits>-<2 digits>`; of later versions, those that stand in the same places.
fn parse(text: &str) -> Option<(u128, u8)> {
    let mut fields = text.split('-');
    let (version, id, part, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let as_written = |field: &str, length| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let written = as_written(version, 2) && as_written(id, 32) && as_written(part, 16) && as_written(flags, 2);
    let version_holds = version != "ff" && (version != "00" || fields.next().is_none());
    let (id, part) = (u128::from_str_radix(id, 16).ok()?, u64::from_str_radix(part, 16).ok()?);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (written && version_holds && id != 0 && part != 0).then_some((id, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_goes_on_under_its_id() {
        let request = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(SENT))]);
        let trace = Trace::of(&request).unwrap();
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        let header = trace.header();
        let told = header.to_str().unwrap();
        assert!(
            parse(told).is_some() && told != SENT && told.starts_with(&SENT[..36]) && told.ends_with("-01"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        assert!(parse(&SENT.replace("00-", "42-")).is_some() && parse(&format!("42{}-more", &SENT[2..])).is_some());
        for wrong in [
            "",
            "00",
            &SENT.to_uppercase(),
            &SENT.replace("00-", "ff-"),
            &format!("{SENT}-more"),
            &SENT.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &SENT.replace("b7ad6b7169203331", "0000000000000000"),
            &SENT.replace("b7ad6b7169203331", "b7ad6b716920333"),
            &SENT.replace("0af7", "+af7"),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let mut twice = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(SENT))]);
        twice.append(TRACEPARENT, HeaderValue::from_static(SENT));
        assert_eq!(Trace::of(&twice), None);
    }
}
