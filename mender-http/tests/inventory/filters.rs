//! Saved filters.

use mender_http::testing::{TestAnswer, TestApp};
use serde_json::{Value, json};

use crate::support::{INTERNAL_V2, V2, error, ids, record};

fn term(attribute: &str, op: &str, value: &Value) -> Value {
    json!({"scope": "inventory", "attribute": attribute, "type": op, "value": value})
}

async fn save(app: &TestApp, name: &str, terms: &Value) -> TestAnswer {
    let body = json!({"name": name, "terms": terms});
    app.post(&format!("{V2}/filters")).admin().json(&body).send().await
}

/// Saves a filter and returns its id.
async fn saved(app: &TestApp, name: &str, terms: &Value) -> String {
    let answer = save(app, name, terms).await.assert_status(201);
    assert!(answer.body.is_empty());
    let location = answer.headers["location"].to_str().unwrap();
    location.strip_prefix("filters/").unwrap().to_owned()
}

#[tokio::test]
async fn a_filter_is_what_fits_it_whenever_one_looks() {
    let app = TestApp::new().await;
    record(&app, "d1", &[("a", json!(100))]).await;
    record(&app, "d2", &[("a", json!(["x", "y"]))]).await;
    let terms =
        json!([term("a", "$in", &json!([100, 1.5, "x"])), term("b", "$exists", &json!(false))]);
    let id = saved(&app, "f", &terms).await;
    let path = format!("{V2}/filters/{id}");
    let shown = app.get(&path).admin().send().await.assert_status(200);
    assert_eq!(shown.json(), json!({"id": id, "name": "f", "terms": terms}));
    let internal = app.get(&format!("{INTERNAL_V2}//filters/{id}")).send().await;
    assert_eq!(internal.assert_status(200).text(), shown.text());

    let search = async || app.get(&format!("{path}/search?per_page=1")).admin().send().await;
    let found = search().await.assert_status(200);
    assert_eq!(
        (ids(&found), &found.headers["x-total-count"]),
        (vec!["d1".into()], &"2".parse().unwrap())
    );
    let links: Vec<_> = found.headers.get_all("link").iter().collect();
    assert_eq!(links.len(), 2, "{links:?}");
    record(&app, "d1", &[("b", json!(""))]).await;
    assert_eq!(ids(&search().await), ["d2"]);

    let body = json!({"name": "g", "terms": [term("b", "$eq", &json!(""))]});
    let changed = app.put(&path).admin().json(&body).send().await.assert_status(204);
    assert!(changed.body.is_empty());
    assert_eq!(ids(&search().await), ["d1"]);
    let _ = app.delete(&path).admin().send().await.assert_status(204);
    for (method, path) in
        [("GET", path.clone()), ("DELETE", path.clone()), ("GET", format!("{path}/search"))]
    {
        let gone = app.request(method.parse().unwrap(), &path).admin().send().await;
        assert_eq!(error(&gone.assert_status(404)), "filter not found");
    }
    let gone = app.put(&path).admin().json(&body).send().await.assert_status(404);
    assert_eq!(error(&gone), "filter not found");
    let gone = app.get(&format!("{INTERNAL_V2}//filters/{id}")).send().await.assert_status(404);
    assert_eq!(error(&gone), "filter not found");
    app.drain().await;
}

#[tokio::test]
async fn filters_are_listed_by_name_and_page() {
    let app = TestApp::new().await;
    let empty = app.get(&format!("{V2}/filters")).admin().send().await;
    assert_eq!((empty.text(), &empty.headers["x-total-count"]), ("[]", &"0".parse().unwrap()));
    for name in ["b", "c", "a"] {
        saved(&app, name, &json!([term("a", "$eq", &json!("x"))])).await;
    }
    let page = app.get(&format!("{V2}/filters?per_page=1&page=2")).admin().send().await;
    assert_eq!(page.json()[0]["name"], "b");
    assert_eq!(page.headers["x-total-count"], "3");
    let links: Vec<_> =
        page.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    let link = |n, rel| format!("<{V2}/filters?page={n}&per_page=1>; rel=\"{rel}\"");
    assert_eq!(links, [link(1, "first"), link(1, "prev"), link(3, "next")]);
    let bad = app.get(&format!("{V2}/filters?per_page=501")).admin().send().await;
    let text = "parameter \"per_page\" above limit (max: 500)";
    assert_eq!(error(&bad.assert_status(400)), text);
    app.drain().await;
}

#[tokio::test]
async fn two_filters_have_no_name_in_common() {
    let app = TestApp::new().await;
    let terms = json!([term("a", "$eq", &json!("x"))]);
    saved(&app, "f", &terms).await;
    let other = saved(&app, "g", &terms).await;
    let again = save(&app, "f", &terms).await.assert_status(409);
    assert_eq!(error(&again), "filter name already exists");
    let body = json!({"name": "f", "terms": terms});
    let renamed = app.put(&format!("{V2}/filters/{other}")).admin().json(&body).send().await;
    assert_eq!(error(&renamed.assert_status(409)), "filter name already exists");
    app.drain().await;
}

#[tokio::test]
async fn filters_that_make_no_sense_are_refused() {
    let app = TestApp::new().await;
    let fine = json!([term("a", "$eq", &json!("x"))]);
    let of_term = "validation failed for term: ";
    for (name, terms, text) in [
        ("", fine.clone(), "name: cannot be blank.".to_owned()),
        (&"x".repeat(257), fine.clone(), "name: the length must be no more than 256.".into()),
        ("a\0b", fine, "name: must not contain the character U+0000.".into()),
        ("f", json!([]), "at least one filter term must be provided".into()),
        ("f", Value::Null, "at least one filter term must be provided".into()),
        (
            "f",
            json!([{}]),
            format!(
                "{of_term}attribute: cannot be blank; scope: cannot be blank; type: cannot be blank; value: is required."
            ),
        ),
        (
            "f",
            json!([term("a", "$is", &json!("x"))]),
            format!("{of_term}type: must be a valid value."),
        ),
        ("f", json!([term("a", "$eq", &Value::Null)]), format!("{of_term}value: is required.")),
        ("f", json!([term("a", "$in", &json!("x"))]), format!("{of_term}$in needs an array")),
        (
            "f",
            json!([term("a", "$regex", &json!(1))]),
            format!("{of_term}$regex has to be a string"),
        ),
    ] {
        let answer = save(&app, name, &terms).await.assert_status(400);
        assert_eq!(error(&answer), text);
    }
    let many: Vec<_> = (0..101).map(|_| term("a", "$eq", &json!("x"))).collect();
    let _ = save(&app, "f", &many.into()).await.assert_status(400);
    for (body, status) in [("[]", 400), ("{", 400), ("", 400), (r#"{"name":1}"#, 400)] {
        let request = app.post(&format!("{V2}/filters")).admin();
        let request = request.header("content-type", "application/json").body(body);
        let text = error(&request.send().await.assert_status(status));
        assert!(text.starts_with("failed to decode request body: "), "{text}");
    }
    let untyped = app.post(&format!("{V2}/filters")).admin().body("{}");
    let _ = untyped.send().await.assert_status(400);
    assert_eq!(app.get(&format!("{V2}/filters")).admin().send().await.text(), "[]");
}

#[tokio::test]
async fn ids_that_can_be_none_are_unknown() {
    let app = TestApp::new().await;
    for id in ["unknown", &"x".repeat(257), "a%00b"] {
        for path in [format!("{V2}/filters/{id}"), format!("{V2}/filters/{id}/search")] {
            let answer = app.get(&path).admin().send().await.assert_status(404);
            assert_eq!(error(&answer), "filter not found");
        }
    }
}
