//! Objects that are written into others (`serde(flatten)`), as the one object that they are on the wire.
//!
//! utoipa says `allOf` of two. Where one of them allows no other field, nothing at all would fit both.

use std::collections::BTreeMap;

use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{AllOf, Object, RefOr, Schema};

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Replaces each named schema that is all of some objects by one object.
pub(super) fn flatten(schemas: &mut Schemas) {
    // One that is made of others which are flattened themselves needs as many rounds as they are deep.
    while let Some((name, object)) =
        schemas.iter().find_map(|(name, schema)| Some((name.clone(), joined(schema, schemas)?)))
    {
        schemas.insert(name, RefOr::T(Schema::Object(object)));
    }
}

/// The one object that these are, where all of them are objects by now.
fn joined(schema: &RefOr<Schema>, schemas: &Schemas) -> Option<Object> {
    let RefOr::T(Schema::AllOf(AllOf { items, description, .. })) = schema else { return None };
    let parts: Option<Vec<_>> = items.iter().map(|item| object(item, schemas)).collect();
    let mut parts = parts?.into_iter();
    let mut joined = parts.next()?.clone();
    for part in parts {
        joined.properties.extend(part.properties.clone());
        joined.required.extend(part.required.iter().cloned());
    }
    joined.description.clone_from(description);
    if joined.additional_properties.as_deref() == Some(&AdditionalProperties::FreeForm(false)) {
        joined.additional_properties = None;
    }
    Some(joined)
}

fn object<'s>(schema: &'s RefOr<Schema>, schemas: &'s Schemas) -> Option<&'s Object> {
    match schema {
        RefOr::T(Schema::Object(object)) => Some(object),
        RefOr::T(_) => None,
        RefOr::Ref(reference) => object(schemas.get(reference.ref_location.rsplit('/').next()?)?, schemas),
    }
}
