//! Reports: searches with places on earth, and numbers.

use mender_http::testing::{TestAnswer, TestApp};
use serde_json::{Value, json};

use super::support::{error, ids, record};

const REPORTING: &str = "/api/management/v1/reporting/devices";

async fn ask(app: &TestApp, path: &str, body: &Value) -> TestAnswer {
    app.post(&format!("{REPORTING}/{path}")).admin().json(body).send().await
}

fn header<'a>(answer: &'a TestAnswer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Three devices: two in Oslo, one in Stockholm.
async fn fleet() -> TestApp {
    let app = TestApp::new().await;
    for (id, version, place) in [
        ("d1", "v1.0", ("59.91", "10.75")),
        ("d2", "v1.1", ("59.92", "10.76")),
        ("d3", "v2.0", ("59.33", "18.07")),
    ] {
        let attributes = [
            ("version", json!(version)),
            ("geo-lat", json!(place.0)),
            ("geo-lon", json!(place.1)),
            ("one", json!(["x"])),
        ];
        record(&app, id, &attributes).await;
    }
    app
}

fn filter(attribute: &str, op: &str, value: &Value) -> Value {
    json!({"scope": "inventory", "attribute": attribute, "type": op, "value": value})
}

fn term(attribute: &str, aggregations: &Value) -> Value {
    json!({"name": attribute, "scope": "inventory", "attribute": attribute,
           "aggregations": aggregations})
}

#[tokio::test]
async fn pages_link_in_one_line_and_next_begins_early() {
    let app = fleet().await;
    let found = ask(&app, "search", &json!({"page": 2, "per_page": 1})).await.assert_status(200);
    assert_eq!(ids(&found), ["d2"]);
    assert_eq!(header(&found, "x-total-count"), "3");
    let path = format!("{REPORTING}/search");
    let link = |page: u32, rel: &str| format!("<{path}?page={page}&per_page=1>;rel=\"{rel}\"");
    let links = [link(1, "first"), link(1, "previous"), link(3, "next")].join(", ");
    assert_eq!(header(&found, "link"), links);
    // Compat: a page that ends with the last device has a next one.
    let last = ask(&app, "search", &json!({"per_page": 3})).await.assert_status(200);
    assert!(header(&last, "link").contains("rel=\"next\""));
    let beyond = ask(&app, "search", &json!({"page": 101, "per_page": 100})).await;
    let beyond = beyond.assert_status(400);
    assert!(error(&beyond).starts_with("malformed request body: page * per_page"));
    app.drain().await;
}

#[tokio::test]
async fn devices_show_single_elements_and_what_is_selected() {
    let app = fleet().await;
    let body = json!({"attributes": [{"scope": "inventory", "attribute": "one"}],
                      "filters": [filter("id", "$in", &json!(["d1"]))]});
    let found = ask(&app, "search", &body).await.assert_status(200).json();
    assert_eq!(
        found[0]["attributes"],
        json!([{"name": "one", "value": "x", "scope": "inventory"}])
    );
    assert_eq!(found[0]["created_ts"], "0001-01-01T00:00:00Z");
    assert_eq!(found[0].get("check_in_time"), None);
    app.drain().await;
}

#[tokio::test]
async fn patterns_must_match_the_whole_value() {
    let app = fleet().await;
    for (pattern, wanted) in
        [("v1", &[][..]), ("v1.*", &["d1", "d2"]), (".*0", &["d1", "d3"]), ("(", &[])]
    {
        let body = json!({"filters": [filter("version", "$regex", &json!(pattern))]});
        assert_eq!(ids(&ask(&app, "search", &body).await.assert_status(200)), wanted, "{pattern}");
    }
    app.drain().await;
}

#[tokio::test]
async fn devices_are_found_by_where_they_are() {
    let app = fleet().await;
    let oslo = json!({"lat": 59.9139, "lon": 10.7522});
    let near = |distance: &str, location: &Value| {
        json!({"geo_distance_filter":
            {"geo_distance": {"distance": distance, "location": location}}})
    };
    assert_eq!(ids(&ask(&app, "search", &near("10km", &oslo)).await), ["d1", "d2"]);
    assert_eq!(ids(&ask(&app, "search", &near("430km", &oslo)).await), ["d1", "d2", "d3"]);
    let corners = json!({"top_left": {"lat": 59.5, "lon": 18.0},
                         "bottom_right": {"lat": 59.0, "lon": 19.0}});
    let between = json!({"geo_bounding_box_filter": {"geo_bounding_box": {"location": corners}}});
    assert_eq!(ids(&ask(&app, "search", &between).await), ["d3"]);
    for wrong in [near("far", &oslo), near("1km", &json!({"lat": 91, "lon": 0}))] {
        let _ = ask(&app, "search", &wrong).await.assert_status(400);
    }
    app.drain().await;
}

#[tokio::test]
async fn numbers_lie_inside_each_other_and_patterns_limit_them() {
    let app = fleet().await;
    let inner = json!([term("one", &json!([]))]);
    let body = json!({"aggregations": [term("version", &inner)],
                      "filters": [filter("version", "$regex", &json!(".*0"))]});
    let counted = ask(&app, "aggregate", &body).await.assert_status(200).json();
    let one = json!([{"name": "one", "items": [{"key": "x", "count": 1}], "other_count": 0}]);
    let item = |key: &str| json!({"key": key, "count": 1, "aggregations": one});
    let wanted = json!([{"name": "version", "items": [item("v1.0"), item("v2.0")],
                         "other_count": 0}]);
    assert_eq!(counted, wanted);
    app.drain().await;
}

#[tokio::test]
async fn five_levels_of_numbers_lie_below_the_first() {
    let app = fleet().await;
    // Of an attribute that nobody has, too: depth does not depend on what there is.
    for (attribute, levels, status) in
        [("one", 6, 200), ("one", 7, 400), ("nobody", 6, 200), ("nobody", 7, 400)]
    {
        let nested = (0..levels).fold(json!([]), |inner, _| json!([term(attribute, &inner)]));
        let body = json!({"aggregations": nested});
        let _ = ask(&app, "aggregate", &body).await.assert_status(status);
    }
    app.drain().await;
}

#[tokio::test]
async fn malformed_reports_are_400() {
    let app = fleet().await;
    let one = |filter: Value| json!({"filters": [filter]});
    for (path, body) in [
        ("search", one(json!(["inventory", "version", "$eq", "v1.0"]))),
        ("search", one(filter("version", "$ltne", &json!("x")))),
        ("search", one(filter("version", "$eq", &json!(["x"])))),
        ("search", one(filter("version", "$in", &json!("x")))),
        ("search", one(filter("version", "$eq", &Value::Null))),
        ("search", json!({"sort": [{"scope": "inventory", "attribute": "a", "order": "up"}]})),
        ("aggregate", json!({})),
        ("aggregate", json!({"aggregations": [{"name": "n"}]})),
    ] {
        let answer = ask(&app, path, &body).await.assert_status(400);
        assert!(error(&answer).starts_with("malformed request body: "), "{body}");
    }
    app.drain().await;
}

#[tokio::test]
async fn attributes_are_listed_with_the_limit_that_clients_show() {
    let app = fleet().await;
    let get = async |path: &str| {
        let answer = app.get(&format!("{REPORTING}/{path}")).admin().send().await;
        answer.assert_status(200).json()
    };
    let used = get("attributes").await;
    assert_eq!((&used["limit"], &used["count"]), (&json!(100), &json!(4)));
    let searchable = get("search/attributes").await;
    assert!(
        searchable
            .as_array()
            .unwrap()
            .contains(&json!({"scope": "system", "name": "created_ts", "count": 1}))
    );
    app.drain().await;
}

#[tokio::test]
async fn services_ask_for_a_tenant_and_within_groups() {
    let app = fleet().await;
    let group = app.put("/api/management/v1/inventory/devices/d2/group").admin();
    let _ = group.json(&json!({"group": "g"})).send().await.assert_status(204);
    let path = "/api/internal/v1/reporting/tenants//devices/search";
    let all = app.post(path).json(&json!({})).send().await.assert_status(200);
    assert_eq!(ids(&all), ["d1", "d2", "d3"]);
    let asked = app.post(path).header("x-men-rbac-inventory-groups", "g");
    let within = asked.json(&json!({})).send().await.assert_status(200);
    assert_eq!(ids(&within), ["d2"]);
    app.drain().await;
}
