use serde_json::{Value, json};
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{AllOfBuilder, Info, OpenApiBuilder, PathItem, PathsBuilder};

use super::*;

fn completed(operation: OperationBuilder) -> Value {
    let paths = PathsBuilder::new().path("/things", PathItem::new(HttpMethod::Put, operation)).build();
    let mut document = OpenApiBuilder::new().info(Info::new("Things", "1")).paths(paths).build();
    complete(&mut document);
    serde_json::to_value(document).unwrap()
}

fn statuses(document: &Value) -> Vec<&str> {
    let responses = document["paths"]["/things"]["put"]["responses"].as_object().unwrap();
    responses.keys().map(String::as_str).collect()
}

#[test]
fn what_an_operation_takes_decides_how_it_can_fail() {
    let simple = || OperationBuilder::new().response("200", Response::new("Done"));
    assert_eq!(statuses(&completed(simple())), ["200", "400", "408", "414", "431", "500", "503", "504"]);
    let body = RequestBodyBuilder::new().build();
    let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).build();
    let admin = SecurityRequirement::new(BEARER, ["orders:write"]);
    let rich = simple().request_body(Some(body)).parameter(id).security(admin).response("412", Response::new(""));
    let wanted = [
        "200", "400", "401", "403", "404", "408", "412", "413", "414", "415", "422", "428", "431", "500", "503", "504",
    ];
    assert_eq!(statuses(&completed(rich)), wanted);
}

#[test]
fn a_failure_is_the_common_one_in_the_operations_words() {
    let operation = OperationBuilder::new().response("409", Response::new("It is taken"));
    let document = completed(operation);
    let said = &document["paths"]["/things"]["put"]["responses"]["409"];
    assert_eq!(said, &json!({ "$ref": "#/components/responses/Conflict", "description": "It is taken" }));
    let common = &document["components"]["responses"]["Conflict"];
    assert_eq!(common["content"][JSON_PROBLEM]["schema"]["$ref"], "#/components/schemas/Problem");
    assert!(common["description"].as_str().unwrap().contains("`email-taken`"), "{common}");
}

#[test]
fn an_answer_that_can_be_kept_has_a_tag() {
    let operation = OperationBuilder::new().response("200", Response::new("It")).response("304", Response::new(""));
    let document = completed(operation);
    let put = &document["paths"]["/things"]["put"];
    assert_eq!(put["responses"]["200"]["headers"]["ETag"]["$ref"], "#/components/headers/ETag");
    assert_eq!(put["parameters"], json!([{ "$ref": "#/components/parameters/If-None-Match" }]));
}

#[test]
fn what_a_page_lists_has_a_name_of_its_own() {
    let row = ObjectBuilder::new().property("size", ObjectBuilder::new()).description(Some("A thing"));
    let page = ObjectBuilder::new().property("data", utoipa::openapi::schema::ArrayBuilder::new().items(row));
    let mut schemas = BTreeMap::from([("Page_Thing".to_owned(), page.into())]);
    name_rows(&mut schemas);
    let schemas = serde_json::to_value(&schemas).unwrap();
    assert_eq!(schemas["Page_Thing"]["properties"]["data"]["items"], json!({ "$ref": "#/components/schemas/Thing" }));
    assert_eq!(schemas["Thing"]["description"], "A thing");
}

#[test]
fn what_is_said_of_a_field_that_may_be_null_is_said_of_the_field() {
    let mut price = Ref::from_schema_name("Money");
    "Of one unit".clone_into(&mut price.description);
    let nullable = utoipa::openapi::schema::OneOfBuilder::new().item(ObjectBuilder::new()).item(price);
    let mut thing = ObjectBuilder::new().property("price", nullable).into();
    describe_optional(&mut thing);
    let price = &serde_json::to_value(&thing).unwrap()["properties"]["price"];
    assert_eq!(
        (&price["description"], &price["oneOf"][1]),
        (&json!("Of one unit"), &json!({ "$ref": "#/components/schemas/Money" }))
    );
}

#[test]
fn an_object_within_another_is_one_that_both_fields_fit() {
    let closed = ObjectBuilder::new().property("name", ObjectBuilder::new()).required("name");
    let closed =
        closed.additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::<Schema>::FreeForm(false)));
    let saved = AllOfBuilder::new()
        .item(Ref::from_schema_name("Name"))
        .item(ObjectBuilder::new().property("id", ObjectBuilder::new()).required("id"));
    let mut schemas = BTreeMap::new();
    schemas.insert("Name".to_owned(), closed.into());
    schemas.insert("Saved".to_owned(), saved.into());
    flat::flatten(&mut schemas);
    let saved = serde_json::to_value(&schemas["Saved"]).unwrap();
    assert_eq!(saved["required"], json!(["name", "id"]));
    assert!(saved["additionalProperties"].is_null() && saved["properties"]["name"].is_object(), "{saved}");
}
