//! A door without the feature `tickets` has none of them: these types have no value.

use http::request::Parts;
use http::{HeaderMap, Response};

use crate::Class;

#[derive(Clone, Debug)]
pub(super) enum Tickets {}

#[derive(Clone, Debug)]
pub(super) enum Stub {}

impl Tickets {
    pub(super) fn can_raise(&self, _: Class) -> bool {
        match *self {}
    }

    pub(super) fn stub(&self, _: &Parts, _: Class) -> Option<Stub> {
        match *self {}
    }
}

impl Stub {
    pub(super) fn redeem(&self, _: &HeaderMap) -> Option<Class> {
        match *self {}
    }

    pub(super) fn issue<A>(&self, _: &mut Response<A>) {
        match *self {}
    }
}
