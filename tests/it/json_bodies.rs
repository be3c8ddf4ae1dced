use mender::http::testing::TestApp;
use serde_json::{Value, json};

const USERS: &str = "/api/management/v1/useradm/users";

#[tokio::test]
async fn names_of_fields_are_found_in_any_case() {
    let app = TestApp::new().await;
    let user = json!({"Email": "b@example.com", "PASSWORD": "correct horse battery"});
    let answer = app.post(USERS).admin().json(&user).send().await;
    drop(answer.assert_status(201));
    app.drain().await;
}

#[tokio::test]
async fn null_is_an_object_without_fields() {
    let app = TestApp::new().await;
    let send = async |body: Value| {
        let answer = app.post(USERS).admin().json(&body).send().await.assert_status(400);
        answer.json()["error"].clone()
    };
    assert_eq!(send(Value::Null).await, send(json!({})).await);
}
