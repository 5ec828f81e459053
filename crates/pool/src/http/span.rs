//! The span of the door's decision, beside those of the pool.

use tracing::Span;
use tracing::field::Empty;

use crate::spans::{TARGET, note_reason};
use crate::{AcquireError, Class};

/// Whether a request is let in.
pub(super) fn admission(class: Class) -> Span {
    tracing::debug_span!(
        target: TARGET,
        "admission",
        forebay.class = class.name(),
        forebay.admission.decision = Empty,
        forebay.admission.reason = Empty,
    )
}

pub(super) fn decided(span: &Span, refused: Option<&AcquireError>) {
    if !span.is_disabled() {
        span.record("forebay.admission.decision", refused.map_or("admit", AcquireError::kind));
        note_reason(span, refused);
    }
}
