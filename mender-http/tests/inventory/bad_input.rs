use mender_core::testing::TestDevice;
use mender_http::testing::{TestAnswer, TestApp};
use serde_json::{Value, json};

use crate::support::{INTERNAL, UPLOAD, V1, V2, accepted, error, ids, record, search};

async fn with_device() -> (TestApp, String, String) {
    let app = TestApp::new().await;
    let device = TestDevice::new(r#"{"mac":"1"}"#, 1);
    let (id, token) = accepted(&app, &device, app.token()).await;
    (app, id, token)
}

async fn upload(app: &TestApp, token: &str, body: impl Into<String>) -> TestAnswer {
    let request = app.put(UPLOAD).bearer(token).header("content-type", "application/json");
    request.body(body.into()).send().await
}

fn deep(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn large_uploads_are_refused_as_large() {
    let (app, _, token) = with_device().await;
    let value = "x".repeat(10 << 20);
    let body = json!([{"name": "a", "value": value}]).to_string();
    let declared = upload(&app, &token, body.clone()).await.assert_status(413);
    assert_eq!(error(&declared), "http: request body too large");
    let chunked = app.put(UPLOAD).bearer(&token).header("content-type", "application/json");
    let chunked = chunked.chunked(body).send().await.assert_status(400);
    let text = "failed to decode request body: http: request body too large";
    assert_eq!(error(&chunked), text);
    // What fits into a body is stored.
    let almost = json!([{"name": "a", "value": "x".repeat((1 << 20) - 100)}]);
    let _ = upload(&app, &token, almost.to_string()).await.assert_status(200);
    app.drain().await;
}

#[tokio::test]
async fn many_attributes_are_too_many_for_a_device_but_not_for_a_service() {
    let (app, id, token) = with_device().await;
    let attribute = |n: usize| json!({"name": format!("a{n}"), "value": "x"});
    let many: Value = (0..10_000).map(attribute).collect();
    let answer = upload(&app, &token, many.to_string()).await.assert_status(400);
    let text = "the number of attributes in the scope is above the limit";
    assert_eq!(error(&answer), text);
    let path = format!("{INTERNAL}//device/{id}/attributes");
    let _ = app.patch(&path).json(&many).send().await.assert_status(200);
    let shown = app.get(&format!("{V1}/devices/{id}")).admin().send().await.assert_status(200);
    assert!(shown.json()["attributes"].as_array().unwrap().len() >= 10_000);
    app.drain().await;
}

#[tokio::test]
async fn malformed_attributes_are_named_and_not_stored() {
    let (app, id, token) = with_device().await;
    let decode = "failed to decode request body: ";
    let list = |value: &str| format!(r#"[{{"name":"a","value":{value}}}]"#);
    let nul = "must not contain the character U+0000.";
    for (body, text) in [
        (list("NaN"), format!("{decode}invalid character 'N' looking for beginning of value")),
        (list("1e999"), decode.to_owned()),
        (list(&deep(50_000)), format!("{decode}exceeded max depth")),
        (deep(50_000), decode.to_owned()),
        (
            list(&deep(20)),
            "value: array values must be either string or float64, not: slice.".into(),
        ),
        (list(r#""a\u0000b""#), format!("value: {nul}")),
        (list(r#"["a","\u0000"]"#), format!("value: {nul}")),
        (list(r#""\ud800""#), decode.to_owned()),
        (r#"[{"name":"a\u0000","value":"x"}]"#.into(), format!("name: {nul}")),
        (
            r#"[{"name":"a","value":"x","description":"\u0000"}]"#.into(),
            format!("description: {nul}"),
        ),
        (r#"[{"name":"a","value":"x","timestamp":5}]"#.into(), decode.to_owned()),
        (r#"[[]]"#.into(), decode.to_owned()),
        (r#"[["a","x"]]"#.into(), decode.to_owned()),
        ("7".into(), decode.to_owned()),
        ("\u{feff}[]".into(), decode.to_owned()),
    ] {
        let answer = upload(&app, &token, body.clone()).await.assert_status(400);
        let said = error(&answer);
        assert!(said.starts_with(&text) && said.len() < 300, "{body:.60}: {said}");
    }
    let shown = app.get(&format!("{V1}/devices/{id}")).admin().send().await.json();
    assert_eq!(shown["updated_ts"], Value::Null);
}

#[tokio::test]
async fn numbers_are_floats_and_whole_ones_have_no_fraction() {
    let (app, id, token) = with_device().await;
    let body = r#"[{"name":"n","value":[-0.0,1e20,1E2,0.5,-3,9007199254740993,1e21,1.7976931348623157e308,5e-324]}]"#;
    let _ = upload(&app, &token, body).await.assert_status(200);
    let shown = app.get(&format!("{V1}/devices/{id}")).admin().send().await;
    let expected = "[0,100000000000000000000,100,0.5,-3,9007199254740992,1e+21,\
        1.7976931348623157e+308,5e-324]";
    let (one, other) = (shown.text().contains(expected), expected.replace("e+", "e"));
    assert!(one || shown.text().contains(&other), "{}", shown.text());
    app.drain().await;
}

#[tokio::test]
async fn searches_that_could_run_forever_do_not() {
    let app = TestApp::new().await;
    record(&app, "d", &[("a", json!("a".repeat(5000)))]).await;
    let filter = |op: &str, value: &Value| {
        let filter = json!({"scope": "inventory", "attribute": "a", "type": op, "value": value});
        json!({"filters": [filter]})
    };
    for (pattern, count) in [
        ("(a+)+$", 1),
        ("(a|a)*b", 0),
        ("((((a{100}){100}){100}){100})", 0),
        (&"(".repeat(10_000), 0),
        ("a{0,100000}", 0),
        ("[", 0),
        ("(?P<x>a)\\1", 0),
        ("", 1),
        ("/A+/i", 1),
    ] {
        let found = search(&app, &filter("$regex", &json!(pattern))).await.assert_status(200);
        assert!(ids(&found).len() <= count, "{pattern:.40}");
    }
    let many: Vec<_> = (0..20_001).collect();
    for (value, text) in [
        (json!(many), "lists have at most 20000 elements"),
        (json!([[[1]]]), "lists have at most 20000 elements"),
        (json!({"$gt": ""}), "an attribute can't be compared with an object"),
        (json!("a\0"), "text must not contain the character U+0000"),
    ] {
        let answer = search(&app, &filter("$in", &value)).await.assert_status(400);
        let prefix = "failed to fetch devices: failed to search devices: (BadValue) ";
        assert_eq!(error(&answer), format!("{prefix}{text}"));
    }
    let one = filter("$eq", &json!("x"))["filters"][0].clone();
    let _ = search(&app, &json!({"filters": vec![one; 101]})).await.assert_status(400);
    let words = json!({"text": "x\0y ".repeat(1000)});
    let _ = search(&app, &words).await.assert_status(200);
    app.drain().await;
}

#[tokio::test]
async fn searches_with_odd_pages_and_ids_are_answered() {
    let app = TestApp::new().await;
    record(&app, "d", &[]).await;
    for (body, found) in [
        (json!({"page": -1, "per_page": -1}), 1),
        (json!({"page": i64::MAX, "per_page": 500}), 0),
        (json!({"device_ids": ["", "x".repeat(257)]}), 0),
        (json!({"device_ids": [null]}), 0),
        (json!({"device_ids": ["d", "d", ""]}), 1),
        (json!({"filters": null, "sort": null, "attributes": null, "text": null}), 1),
        (
            json!({"filters": [{"scope": "identity", "attribute": "id", "type": "$eq", "value": "d"}]}),
            1,
        ),
        (Value::Null, 1),
    ] {
        let answer = search(&app, &body).await.assert_status(200);
        assert_eq!(ids(&answer).len(), found, "{body}");
    }
    for body in [json!({"page": 1.5}), json!({"page": 1e30}), json!({"device_ids": [1]})] {
        let text = error(&search(&app, &body).await.assert_status(400));
        assert!(text.starts_with("failed to decode request body: "), "{text}");
    }
    app.drain().await;
}

#[tokio::test]
async fn odd_query_strings_are_answered() {
    let app = TestApp::new().await;
    record(&app, "d", &[("a", json!("x"))]).await;
    for (query, status) in [
        ("a=%00", 200),
        ("a=%2500", 200),
        ("%00=x", 200),
        ("group=%00", 200),
        ("=&==&/=x&//=/", 200),
        ("a=%zz", 200),
        ("a=%25zz", 400),
        ("sort=:asc", 200),
        ("sort=%2500", 200),
        ("page=99999999999999999999", 400),
        ("page=4294967296&per_page=500", 200),
        ("page=NaN", 400),
        (&"a=x&".repeat(5000), 200),
    ] {
        let answer = app.get(&format!("{V1}/devices?{query}")).admin().send().await;
        assert_eq!(answer.status.as_u16(), status, "{query:.60}: {:?}", answer.body);
    }
    let many: Vec<_> = (0..101).map(|n| format!("a{n}=x")).collect();
    let answer = app.get(&format!("{V1}/devices?{}", many.join("&"))).admin().send().await;
    let _ = answer.assert_status(400);
    for path in ["groups/%00/devices", "groups/a%0ab/devices", "groups//devices"] {
        let answer = app.get(&format!("{V1}/{path}")).admin().send().await.assert_status(404);
        assert_eq!(error(&answer), "group not found");
    }
    let status = app.get(&format!("{V1}/groups?status=%00")).admin().send().await;
    assert_eq!(status.assert_status(200).text(), "[]");
    let names = app.get(&format!("{V2}/filters/attributes")).admin().send().await;
    let _ = names.assert_status(200);
    app.drain().await;
}
