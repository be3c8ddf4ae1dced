//! The interface's own description: an OpenAPI document, and a page to read it.

use std::{fmt::Write as _, sync::Arc};

use axum::response::{Html, IntoResponse};
use serde_json::{Map, Value, json};

use crate::{json::Json, routes::Routes};

/// Where the document is.
pub const OPENAPI: &str = "/api/openapi.json";

/// Where the page is.
pub const PAGE: &str = "/api/docs";

/// Merges the documents of the areas.
pub(crate) fn merge(documents: &[Value]) -> Value {
    let mut all = json!({
        "openapi": "3.1.0",
        "info": {"title": "Device management", "version": env!("CARGO_PKG_VERSION")},
        "paths": {},
        "components": {},
    });
    for document in documents {
        if let Some(paths) = document.get("paths") {
            extend(&mut all["paths"], paths);
        }
        for (kind, items) in document["components"].as_object().into_iter().flatten() {
            let place = &mut all["components"][kind];
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
            for (name, item) in items.as_object().into_iter().flatten() {
                let known = place.get(name);
                debug_assert!(known.is_none_or(|known| known == item), "two {kind} are {name}");
            }
            extend(place, items);
        }
    }
    all
}

fn extend(to: &mut Value, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        match to.get_mut(key) {
            // One path may get its methods from several areas.
            Some(known) if known.is_object() => extend(known, value),
            _ => to[key] = value.clone(),
        }
    }
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(documents: &[Value]) -> Routes<S> {
    let document = merge(documents);
    let page: Arc<str> = page(&document).into();
    let document = Arc::new(document);
    Routes::new()
        .get(OPENAPI, move || {
            let document = document.clone();
            async move { Json(&*document).into_response() }
        })
        .get(PAGE, move || {
            let page = page.clone();
            async move { Html(page.to_string()) }
        })
}

fn page(document: &Value) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>API reference</title>\
         <style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
         code{background:#eee;padding:0 .3em}dt{margin-top:1rem}</style>\
         <h1>API reference</h1><p>As data: <a href=\"openapi.json\">openapi.json</a></p><dl>",
    );
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let method = method.to_uppercase();
            let text = |name: &str| escape(operation[name].as_str().unwrap_or_default());
            let (summary, description) = (text("summary"), text("description"));
            let path = escape(path);
            // Writing to a string does not fail.
            let _ =
                write!(html, "<dt><code>{method} {path}</code></dt><dd>{summary}<br>{description}");
            for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
                let text = escape(answer["description"].as_str().unwrap_or_default());
                let _ = write!(html, "<br><code>{}</code> {text}", escape(status));
            }
            html.push_str("</dd>");
        }
    }
    html.push_str("</dl></html>");
    html
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_one_path_are_merged() {
        let a = json!({"paths": {"/x": {"get": {"summary": "<a>"}}}});
        let b = json!({"paths": {"/x": {"put": {}}}, "components": {"schemas": {"B": {}}}});
        let all = merge(&[a, b]);
        assert_eq!(all["paths"]["/x"].as_object().unwrap().len(), 2);
        assert!(all["components"]["schemas"]["B"].is_object());
        assert!(page(&all).contains("GET /x</code></dt><dd>&lt;a&gt;"));
    }

    #[test]
    #[should_panic(expected = "two schemas are A")]
    fn areas_call_no_two_things_alike() {
        let schema = |kind: &str| json!({"components": {"schemas": {"A": {"type": kind}}}});
        merge(&[schema("object"), schema("object"), schema("string")]);
    }
}
