//! The table.

use std::time::Duration;

use http::StatusCode;

/// What went wrong, as a client should tell it apart. Each is one row of the table below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "a row's title says it, and a second wording would drift")]
pub enum Code {
    InvalidRequest,
    InvalidCursor,
    IdempotencyKeyMissing,
    Unauthenticated,
    TokenExpired,
    InvalidCredentials,
    RefreshTokenInvalid,
    RefreshTokenReused,
    SignatureInvalid,
    InsufficientScope,
    ForeignOrigin,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    InsufficientStock,
    CartAlreadyOrdered,
    CartChanged,
    ItemUnavailable,
    OrderStateConflict,
    EmailTaken,
    SlugTaken,
    SkuTaken,
    IdempotencyInFlight,
    PreconditionFailed,
    PreconditionRequired,
    PayloadTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    MisdirectedRequest,
    ValidationFailed,
    IdempotencyKeyReused,
    PaymentDeclined,
    QuotaExceeded,
    HeadTooLarge,
    Internal,
    Overloaded,
    DependencyUnavailable,
    ReadOnly,
    Draining,
    DeadlineExceeded,
}

/// One row: all that an answer with this code has in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    /// Where a public registry names the kind; otherwise ours does.
    pub(super) registered: Option<&'static str>,
    pub(super) retryable: bool,
    /// Sent when nobody knows better.
    pub(super) retry_after: Option<Duration>,
}

impl Code {
    /// Every code, in the order of the table.
    pub const ALL: [Self; 40] = [
        Self::InvalidRequest,
        Self::InvalidCursor,
        Self::IdempotencyKeyMissing,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::InvalidCredentials,
        Self::RefreshTokenInvalid,
        Self::RefreshTokenReused,
        Self::SignatureInvalid,
        Self::InsufficientScope,
        Self::ForeignOrigin,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::InsufficientStock,
        Self::CartAlreadyOrdered,
        Self::CartChanged,
        Self::ItemUnavailable,
        Self::OrderStateConflict,
        Self::EmailTaken,
        Self::SlugTaken,
        Self::SkuTaken,
        Self::IdempotencyInFlight,
        Self::PreconditionFailed,
        Self::PreconditionRequired,
        Self::PayloadTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::MisdirectedRequest,
        Self::ValidationFailed,
        Self::IdempotencyKeyReused,
        Self::PaymentDeclined,
        Self::QuotaExceeded,
        Self::HeadTooLarge,
        Self::Internal,
        Self::Overloaded,
        Self::DependencyUnavailable,
        Self::ReadOnly,
        Self::Draining,
        Self::DeadlineExceeded,
    ];

    /// The stable name in the body.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().code
    }

    /// The status that it is answered with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().status
    }

    /// What it means, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().title
    }

    #[rustfmt::skip]
    pub(super) fn row(self) -> Row {
        match self {
            Self::InvalidRequest        => fault(400, "invalid-request", "The request is malformed"),
            Self::InvalidCursor         => fault(400, "invalid-cursor", "The cursor does not belong to this list"),
            Self::IdempotencyKeyMissing => fault(400, "idempotency-key-missing", "The Idempotency-Key header is required"),
            Self::Unauthenticated       => fault(401, "unauthenticated", "A valid access token is required"),
            Self::TokenExpired          => fault(401, "token-expired", "The access token has expired"),
            Self::InvalidCredentials    => fault(401, "invalid-credentials", "The email or the password is wrong"),
            Self::RefreshTokenInvalid   => fault(401, "refresh-token-invalid", "The refresh token is not valid"),
            Self::RefreshTokenReused    => fault(401, "refresh-token-reused", "The refresh token was used before; its session is revoked"),
            Self::SignatureInvalid      => fault(401, "signature-invalid", "The signature of the message is missing, wrong or too old"),
            Self::InsufficientScope     => fault(403, "insufficient-scope", "The access token lacks the scope for this"),
            Self::ForeignOrigin         => fault(403, "foreign-origin", "Pages of another origin may not do this"),
            Self::NotFound              => fault(404, "not-found", "Not found"),
            Self::MethodNotAllowed      => fault(405, "method-not-allowed", "The method is not allowed here"),
            Self::RequestTimeout        => Row { retryable: true, ..fault(408, "request-timeout", "The request did not arrive in time") },
            Self::InsufficientStock     => fault(409, "insufficient-stock", "Not enough units in stock"),
            Self::CartAlreadyOrdered    => fault(409, "cart-already-ordered", "The cart was already ordered"),
            Self::CartChanged           => fault(409, "cart-changed", "The cart costs something else than was expected"),
            Self::ItemUnavailable       => fault(409, "item-unavailable", "The cart holds something that is not sold any more"),
            Self::OrderStateConflict    => fault(409, "order-state-conflict", "The order's state does not permit this"),
            Self::EmailTaken            => fault(409, "email-taken", "The email address has an account"),
            Self::SlugTaken             => fault(409, "slug-taken", "The slug names something else"),
            Self::SkuTaken              => fault(409, "sku-taken", "The SKU is another product's"),
            Self::IdempotencyInFlight   => again(409, "idempotency-in-flight", "The first request with this key is still running", 1),
            Self::PreconditionFailed    => fault(412, "precondition-failed", "The resource has changed"),
            Self::PreconditionRequired  => fault(428, "precondition-required", "The If-Match header is required"),
            Self::PayloadTooLarge       => fault(413, "payload-too-large", "The body is too large"),
            Self::UriTooLong            => fault(414, "uri-too-long", "The request line is too long"),
            Self::UnsupportedMediaType  => fault(415, "unsupported-media-type", "The body is sent in a form that is not read here"),
            Self::MisdirectedRequest    => fault(421, "misdirected-request", "Nothing of this name is served here"),
            Self::ValidationFailed      => fault(422, "validation-failed", "The request breaks a rule"),
            Self::IdempotencyKeyReused  => fault(422, "idempotency-key-reused", "The key was used for another request"),
            Self::PaymentDeclined       => fault(422, "payment-declined", "The payment was declined"),
            Self::QuotaExceeded         => Row {
                registered: Some("https://iana.org/assignments/http-problem-types#quota-exceeded"),
                ..again(429, "quota-exceeded", "Too many requests from this client", 5)
            },
            Self::HeadTooLarge          => fault(431, "head-too-large", "The head is too large or has too many fields"),
            Self::Internal              => fault(500, "internal", "Internal error"),
            Self::Overloaded            => Row {
                registered: Some("https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"),
                ..again(503, "overloaded", "Temporary reduced capacity", 1)
            },
            Self::DependencyUnavailable => again(503, "dependency-unavailable", "A dependency is unavailable", 2),
            Self::ReadOnly              => again(503, "read-only", "The shop takes no changes at present", 5),
            Self::Draining              => again(503, "draining", "This instance is shutting down", 1),
            Self::DeadlineExceeded      => Row { retryable: true, ..fault(504, "deadline-exceeded", "Not finished in time; work may have begun") },
        }
    }
}

fn fault(status: u16, code: &'static str, title: &'static str) -> Row {
    let status = StatusCode::from_u16(status).expect("the table holds three-digit statuses");
    Row { status, code, title, registered: None, retryable: false, retry_after: None }
}

fn again(status: u16, code: &'static str, title: &'static str, seconds: u64) -> Row {
    Row { retryable: true, retry_after: Some(Duration::from_secs(seconds)), ..fault(status, code, title) }
}
