//! The description as a page for people: plain HTML that needs no script, and nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write as _};

use serde_json::{Map, Value};

/// Set apart from the page, so that its policy need allow nothing inline.
pub(super) const STYLE: &str = include_str!("style.css");

/// An operation, with its method and path.
type Operation<'a> = (&'a str, &'a str, &'a Value);

/// The page about an API that is described like this.
pub(super) fn render(document: &Value) -> String {
    let mut page = String::new();
    write_page(&mut page, document).expect("text is written into memory");
    page
}

fn write_page(page: &mut String, document: &Value) -> fmt::Result {
    let info = &document["info"];
    let (title, version) = (Plain(&info["title"]), Plain(&info["version"]));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title} API</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"stylesheet\" href=\"/docs/style.css\">\n</head>\n<body>\n\
         <header>\n<h1>{title} <small>{version}</small></h1>\n{}<p><a href=\"/openapi.json\">OpenAPI 3.1</a></p>\n</header>\n",
        Prose(&info["description"])
    )?;
    let tags = by_tag(document);
    write_contents(page, &tags)?;
    page.push_str("<main>\n");
    for (tag, operations) in &tags {
        write!(page, "<section>\n<h2>{}</h2>\n", Plain(&tag["name"]))?;
        write!(page, "{}", Prose(&tag["description"]))?;
        for operation in operations {
            write_operation(page, document, operation)?;
        }
        page.push_str("</section>\n");
    }
    write_tokens(page, &document["components"]["securitySchemes"])?;
    page.push_str("<section>\n<h2>Types</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        write_type(page, name, schema)?;
    }
    page.push_str("</section>\n</main>\n</body>\n</html>\n");
    Ok(())
}

/// The operations of each tag, in the order of the tags.
fn by_tag(document: &Value) -> Vec<(&Value, Vec<Operation<'_>>)> {
    let mut of: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in members(&document["paths"]) {
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                of.entry(text(&operation["tags"][0])).or_default().push((method, path, operation));
            }
        }
    }
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| Some((tag, of.remove(text(&tag["name"]))?))).collect()
}

fn write_contents(page: &mut String, tags: &[(&Value, Vec<Operation<'_>>)]) -> fmt::Result {
    page.push_str("<nav aria-label=\"Operations\">\n");
    for (tag, operations) in tags {
        write!(page, "<h2>{}</h2>\n<ul>\n", Plain(&tag["name"]))?;
        for (method, path, operation) in operations {
            let id = Plain(&operation["operationId"]);
            writeln!(page, "<li><a href=\"#{id}\"><b class=\"{method}\">{method}</b> {}</a></li>", Escaped(path))?;
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</nav>\n");
    Ok(())
}

fn write_operation(page: &mut String, document: &Value, (method, path, operation): &Operation<'_>) -> fmt::Result {
    let (id, summary) = (Plain(&operation["operationId"]), Words(text(&operation["summary"])));
    write!(
        page,
        "<article id=\"{id}\">\n<h3><b class=\"{method}\">{method}</b> <code>{}</code></h3>\n<p>{summary}</p>\n{}",
        Escaped(path),
        Prose(&operation["description"])
    )?;
    write_security(page, &operation["security"])?;
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<_> = parameters.map(|parameter| resolved(document, parameter)).collect();
    if !parameters.is_empty() {
        page.push_str("<h4>Parameters</h4>\n<dl>\n");
        for parameter in parameters {
            let required = if parameter["required"] == true { ", required" } else { "" };
            write!(
                page,
                "<dt><code>{}</code> <small>{}{required}, {}</small></dt>\n<dd>{}</dd>\n",
                Plain(&parameter["name"]),
                Plain(&parameter["in"]),
                Kind(&parameter["schema"]),
                Words(text(&parameter["description"]))
            )?;
        }
        page.push_str("</dl>\n");
    }
    if let Some(body) = operation.get("requestBody") {
        write!(page, "<h4>Body</h4>\n<p>{}</p>\n", Contents(&body["content"]))?;
    }
    page.push_str("<h4>Answers</h4>\n<dl>\n");
    for (status, answer) in members(&operation["responses"]) {
        let common = resolved(document, answer);
        let words = Some(text(&answer["description"])).filter(|words| !words.is_empty());
        let words = words.unwrap_or_else(|| text(&common["description"]));
        write!(
            page,
            "<dt><code>{}</code> {}</dt>\n<dd>{}</dd>\n",
            Escaped(status),
            Contents(&common["content"]),
            Words(words)
        )?;
    }
    page.push_str("</dl>\n</article>\n");
    Ok(())
}

/// Which tokens open it: all of one of the lists, of which one may be empty.
fn write_security(page: &mut String, security: &Value) -> fmt::Result {
    let ways = security.as_array().into_iter().flatten().map(|way| {
        let names = members(way).map(|(name, scopes)| {
            let name = Escaped(name);
            let link = format!("<a href=\"#token-{name}\">{name}</a>");
            let scopes = scopes.as_array().into_iter().flatten().map(|scope| Plain(scope).to_string());
            [link].into_iter().chain(scopes).collect::<Vec<_>>().join(" with ")
        });
        let names: Vec<_> = names.collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") }
    });
    let ways: Vec<_> = ways.collect();
    if ways.is_empty() { Ok(()) } else { writeln!(page, "<p>Needs {}.</p>", ways.join(", or ")) }
}

/// What is meant by the names of tokens, and how each is sent.
fn write_tokens(page: &mut String, schemes: &Value) -> fmt::Result {
    page.push_str("<section>\n<h2>Tokens</h2>\n<dl>\n");
    for (name, scheme) in members(schemes) {
        let (name, words) = (Escaped(name), Words(text(&scheme["description"])));
        let sent = if scheme["type"] == "http" { "Authorization: Bearer" } else { text(&scheme["name"]) };
        let sent = Escaped(sent);
        write!(page, "<dt id=\"token-{name}\"><code>{name}</code> <small>{sent}</small></dt>\n<dd>{words}</dd>\n")?;
    }
    page.push_str("</dl>\n</section>\n");
    Ok(())
}

fn write_type(page: &mut String, name: &str, schema: &Value) -> fmt::Result {
    let name = Escaped(name);
    write!(page, "<article id=\"type-{name}\">\n<h3><code>{name}</code></h3>\n{}", Prose(&schema["description"]))?;
    let properties: Vec<_> = members(&schema["properties"]).collect();
    if properties.is_empty() {
        return write!(page, "<p>{}</p>\n</article>\n", Kind(schema));
    }
    page.push_str("<dl>\n");
    for (property, kind) in properties {
        let required = schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == property));
        let optional = if required { "" } else { ", may be absent" };
        let (property, words) = (Escaped(property), Words(text(&kind["description"])));
        write!(page, "<dt><code>{property}</code> <small>{}{optional}</small></dt>\n<dd>{words}</dd>\n", Kind(kind))?;
    }
    page.push_str("</dl>\n</article>\n");
    Ok(())
}

/// What is meant where something is referred to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|target| document.pointer(target.trim_start_matches('#')));
    target.unwrap_or(value)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, member)| (name.as_str(), member))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Text as HTML shows it.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            _ => f.write_char(char),
        })
    }
}

/// A string of the description.
struct Plain<'a>(&'a Value);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Escaped(text(self.0)).fmt(f)
    }
}

/// A line in which code stands between backticks.
struct Words<'a>(&'a str);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.split('`').enumerate().try_for_each(|(at, part)| match at % 2 {
            0 => Escaped(part).fmt(f),
            _ => write!(f, "<code>{}</code>", Escaped(part)),
        })
    }
}

/// Paragraphs of such lines.
struct Prose<'a>(&'a Value);

impl Display for Prose<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let paragraphs = text(self.0).split("\n\n").filter(|paragraph| !paragraph.is_empty());
        paragraphs.into_iter().try_for_each(|paragraph| writeln!(f, "<p>{}</p>", Words(paragraph)))
    }
}

/// The media types of a body, with what is in them.
struct Contents<'a>(&'a Value);

impl Display for Contents<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        members(self.0).try_for_each(|(media_type, content)| {
            write!(f, "{} <small>{}</small> ", Kind(&content["schema"]), Escaped(media_type))
        })
    }
}

/// The type that a schema says, in a few words.
struct Kind<'a>(&'a Value);

impl Display for Kind<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let schema = self.0;
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
            let name = Escaped(name);
            return write!(f, "<a href=\"#type-{name}\">{name}</a>");
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<_> = values.iter().map(|value| format!("<code>{}</code>", Plain(value))).collect();
            return write!(f, "one of {}", values.join(", "));
        }
        let several = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|name| schema[name].as_array());
        if let Some(kinds) = several {
            let kinds: Vec<_> = kinds.iter().map(|kind| Kind(kind).to_string()).collect();
            return f.write_str(&kinds.join(" or "));
        }
        let names = match &schema["type"] {
            Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
            name => text(name).to_owned(),
        };
        write!(f, "{}", Escaped(&names))?;
        if let Some(format) = schema["format"].as_str() {
            write!(f, " ({})", Escaped(format))?;
        }
        if schema["items"].is_object() { write!(f, " of {}", Kind(&schema["items"])) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::described;

    #[test]
    fn every_operation_and_type_has_its_place() {
        let document = serde_json::to_value(described()).unwrap();
        let page = render(&document);
        for (_, item) in members(&document["paths"]) {
            for (_, operation) in members(item) {
                let id = text(&operation["operationId"]);
                assert!(page.contains(&format!("<article id=\"{id}\">")), "{id} is missing");
            }
        }
        for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{target}\"")), "{target} leads nowhere");
        }
        assert!(
            !page.contains("<script") && !page.contains("style=") && !page.contains("http://"),
            "it needs nothing else"
        );
    }

    #[test]
    fn what_an_operation_needs_is_said_in_full_and_explained() {
        let page = render(&serde_json::to_value(described()).unwrap());
        let needs: Vec<_> = page.lines().filter(|line| line.starts_with("<p>Needs ")).collect();
        assert!(needs.len() > 20, "{needs:?}");
        for line in needs {
            assert!(!line.contains(" ,") && !line.contains("  "), "{line}");
        }
        let bearer = "<a href=\"#token-bearer\">bearer</a>";
        assert!(page.contains(&format!("<p>Needs nothing, or {bearer}.</p>")), "a cart needs no token");
        assert!(page.contains(&format!("<p>Needs {bearer} with admin.</p>")));
        assert!(page.contains("<dt id=\"token-cart\"><code>cart</code> <small>X-Cart-Token</small></dt>"));
    }

    #[test]
    fn text_is_shown_and_not_read_as_html() {
        assert_eq!(Words("a `<b>` & \"c\"").to_string(), "a <code>&lt;b&gt;</code> &amp; &quot;c&quot;");
    }
}
