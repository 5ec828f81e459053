//! The API's description (OpenAPI 3.1), made from the code: what all operations have in common is said here, once.
//!
//! A handler says what is its own, and nothing else:
//!
//! ```text
//! /// Changes the user's name.
//! #[utoipa::path(patch, path = "/v1/me", operation_id = "rename_me", tag = "account", security(("bearer" = [])),
//!     responses((status = 200, description = "The account", body = User), (status = 412)))]
//! ```
//!
//! A query is `IntoParams` and named by `params(..)`; an enum in it is `#[param(inline)]`, since utoipa describes no type by its name there.
//!
//! [`complete`] adds what follows from that: the failures that go with a body, a token, a scope or an id in the path, the fields
//! that go with `ETag`s, the shape of every problem, and what each of its statuses means.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, Header, ObjectBuilder, OneOf, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, Type,
};
use utoipa::{IntoParams, PartialSchema as _, ToSchema as _};

use crate::extract::IdempotencyKey;
use crate::problem::{Body, Code, FieldError};

mod flat;

/// The security scheme of access tokens; its "scopes" are what a token must have.
const BEARER: &str = "bearer";
/// The security scheme of carts without an account.
const CART: &str = "cart";

/// The security scheme of messages that others send.
const SIGNATURE: &str = "signature";

/// Any request can meet these: a head that is none, one that is too slow or too large, a fault, a refusal, a deadline.
const ALWAYS: [u16; 7] = [400, 408, 414, 431, 500, 503, 504];

const JSON_PROBLEM: &str = "application/problem+json";

/// Completes a description whose operations say what is their own.
pub fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            complete_operation(operation);
        }
    }
    let components = document.components.get_or_insert_default();
    components.schemas.insert(Body::name().into_owned(), Body::schema());
    components.schemas.insert(FieldError::name().into_owned(), FieldError::schema());
    add_headers(components);
    add_parameters(components);
    add_problems(components);
    add_security(components);
    name_rows(&mut components.schemas);
    flat::flatten(&mut components.schemas);
    components.schemas.values_mut().for_each(describe_optional);
}

/// What a page lists is described under its own name: utoipa writes it into the page, so that a client would have no type for it.
fn name_rows(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let mut rows = Vec::new();
    for (page, schema) in schemas.iter_mut() {
        let (Some(row), RefOr::T(Schema::Object(page))) = (page.strip_prefix("Page_"), schema) else { continue };
        if let Some(RefOr::T(Schema::Array(list))) = page.properties.get_mut("data")
            && let ArrayItems::RefOrSchema(inner) = &mut list.items
        {
            rows.push((row.to_owned(), std::mem::replace(&mut **inner, Ref::from_schema_name(row).into())));
        }
    }
    for (name, row) in rows {
        schemas.entry(name).or_insert(row);
    }
}

/// What is said of a field that may be null is said of the field: utoipa says it of what the field may be.
fn describe_optional(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for field in object.properties.values_mut() {
        let RefOr::T(Schema::OneOf(OneOf { items, description, .. })) = field else { continue };
        for item in items {
            if let RefOr::Ref(item) = item
                && !item.description.is_empty()
            {
                *description = Some(std::mem::take(&mut item.description));
            }
        }
    }
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}

fn complete_operation(operation: &mut Operation) {
    for status in failures(operation) {
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| Response::new("").into());
    }
    let has = |status: &str| operation.responses.responses.contains_key(status);
    let (cached, guarded, keyed) = (has("304"), is_guarded(operation), is_keyed(operation));
    let mut fields = vec!["X-Request-Id"];
    if cached || has("412") {
        fields.push("ETag");
    }
    if keyed {
        fields.push("Idempotent-Replayed");
    }
    for (status, response) in &mut operation.responses.responses {
        if status.starts_with(['4', '5']) {
            *response = RefOr::Ref(problem(status, response));
        } else if let RefOr::T(response) = response {
            let named: Vec<_> =
                response.headers.keys().cloned().chain(fields.iter().map(|name| (*name).to_owned())).collect();
            response.headers =
                named.into_iter().map(|name| (name.clone(), RefOr::Ref(component("headers", &name)))).collect();
            if status == "304" && response.description.is_empty() {
                "It is what the client has".clone_into(&mut response.description);
            }
        }
    }
    let parameters = [(cached, "If-None-Match"), (guarded, "If-Match")];
    let added = parameters.into_iter().filter(|(is, _)| *is).map(|(_, name)| RefOr::Ref(component("parameters", name)));
    operation.parameters.get_or_insert_default().extend(added);
}

/// The statuses with which an operation can fail because of what it takes.
fn failures(operation: &Operation) -> BTreeSet<u16> {
    let security = operation.security.as_deref().unwrap_or_default();
    let rules: [(bool, &[u16]); 6] = [
        (operation.request_body.is_some(), &[413, 415, 422]),
        (parameters(operation).any(|parameter| parameter.parameter_in == ParameterIn::Path), &[404]),
        (!security.is_empty(), &[401]),
        (security.iter().any(wants_scope), &[403]),
        (is_keyed(operation), &[409, 422]),
        (is_guarded(operation), &[428]),
    ];
    let apply = rules.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, statuses)| statuses);
    apply.chain(&ALWAYS).copied().collect()
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

fn is_keyed(operation: &Operation) -> bool {
    parameters(operation).any(|parameter| parameter.name == IdempotencyKey::HEADER)
}

/// Whether it wants `If-Match`: one that may be left out is said by the operation itself.
fn is_guarded(operation: &Operation) -> bool {
    let is_optional = parameters(operation).any(|parameter| parameter.name == "If-Match");
    operation.responses.responses.contains_key("412") && !is_optional
}

fn wants_scope(requirement: &SecurityRequirement) -> bool {
    let requirement = serde_json::to_value(requirement).unwrap_or_default();
    requirement[BEARER].as_array().is_some_and(|scopes| !scopes.is_empty())
}

/// The common answer with this status, in the words of the operation where it has some.
fn problem(status: &str, said: &RefOr<Response>) -> Ref {
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut reference = component("responses", &status.map(name_of).unwrap_or_default());
    if let RefOr::T(said) = said {
        reference.description.clone_from(&said.description);
    }
    reference
}

/// `NotFound` for 404.
fn name_of(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or(status.as_str()).split([' ', '-']).collect()
}

fn component(kind: &str, name: &str) -> Ref {
    Ref::new(format!("#/components/{kind}/{name}"))
}

/// What each status of the table of problems means, and the fields that it comes with.
fn add_problems(components: &mut Components) {
    let statuses: BTreeSet<StatusCode> = Code::ALL.into_iter().map(Code::status).collect();
    for status in statuses {
        let codes = Code::ALL.into_iter().filter(|code| code.status() == status);
        let described: Vec<_> = codes.map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Body::name()))).build();
        let mut response =
            ResponseBuilder::new().description(described.join("; ")).content(JSON_PROBLEM, content).build();
        let fields = fields_of(status).iter().chain(&["X-Request-Id"]);
        response.headers = fields.map(|name| ((*name).to_owned(), RefOr::Ref(component("headers", name)))).collect();
        components.responses.insert(name_of(status), response.into());
    }
}

fn fields_of(status: StatusCode) -> &'static [&'static str] {
    match status.as_u16() {
        401 => &["WWW-Authenticate"],
        405 => &["Allow"],
        409 => &["Retry-After", "Retry-After-Ms"],
        429 => &["Retry-After", "Retry-After-Ms", "RateLimit", "RateLimit-Policy"],
        503 => &["Retry-After", "Retry-After-Ms", "Retry-Ticket"],
        _ => &[],
    }
}

fn add_headers(components: &mut Components) {
    let texts = [
        ("Allow", "The methods that the resource has"),
        ("ETag", "Names this version of the answer: for `If-None-Match` and `If-Match`"),
        (
            "Idempotent-Replayed",
            "`true` where an earlier request with the same key did it, and this is its answer again",
        ),
        ("Link", "The next page, as `rel=\"next\"`: there is none on the last one"),
        ("Location", "Where it is"),
        ("RateLimit", "What is left of the quota, and in how many seconds there is more"),
        ("RateLimit-Policy", "The quota"),
        ("Retry-Ticket", "Sent along after `Retry-After`, it has the request served before others"),
        ("WWW-Authenticate", "Which token is wanted, and what is wrong with the one that was sent (RFC 6750)"),
        ("X-Request-Id", "Of this request; a problem has it as `instance`"),
    ];
    let numbers =
        [("Retry-After", "When to come back, in whole seconds"), ("Retry-After-Ms", "The same in milliseconds")];
    let texts = texts.map(|(name, description)| (name, header(Type::String, description)));
    let numbers = numbers.map(|(name, description)| (name, header(Type::Integer, description)));
    for (name, header) in texts.into_iter().chain(numbers) {
        components.headers.insert(name.to_owned(), header.into());
    }
}

fn header(kind: Type, description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

fn add_parameters(components: &mut Components) {
    let known = [
        (
            "If-None-Match",
            Required::False,
            "The `ETag` of the answer that the client has: 304 where it is still the same",
        ),
        (
            "If-Match",
            Required::True,
            "The `ETag` of the version that is to be changed: 412 where it is another one now",
        ),
    ];
    for (name, required, description) in known {
        components.parameters.insert(name.to_owned(), request_header(name, required, description).build().into());
    }
}

fn request_header(name: &str, required: Required, description: &str) -> ParameterBuilder {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(required);
    parameter.description(Some(description)).schema(Some(schema))
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
        let schema = schema.pattern(Some(r"^[ !#-\[\]-~]+$")).build();
        let description = "Made by the client for what it wants done once, and sent again with each repeat";
        vec![request_header(Self::HEADER, Required::True, description).schema(Some(schema)).build()]
    }
}

fn add_security(components: &mut Components) {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("at+jwt");
    let bearer = bearer.description(Some("An access token of `POST /v1/auth/login`")).build();
    let cart = ApiKeyValue::with_description("X-Cart-Token", "The `cart_token` that `POST /v1/carts` gave");
    let signature = "Over `webhook-id`, `webhook-timestamp` and the body (Standard Webhooks)";
    let signature = ApiKeyValue::with_description("webhook-signature", signature);
    let schemes = [
        (BEARER, SecurityScheme::Http(bearer)),
        (CART, SecurityScheme::ApiKey(ApiKey::Header(cart))),
        (SIGNATURE, SecurityScheme::ApiKey(ApiKey::Header(signature))),
    ];
    components.security_schemes.extend(schemes.map(|(name, scheme)| (name.to_owned(), scheme.into())));
}

#[cfg(test)]
mod tests;
