use std::{env, fs};

use mender::http::testing::TestApp;

/// The document is served without a token, and written to `MENDER_OPENAPI_FILE` where that is
/// set, for comparison with others.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "tests may read the environment")]
async fn the_interface_describes_itself() {
    let app = TestApp::new().await;
    let answer = app.get("/api/openapi.json").send().await.assert_status(200);
    assert_eq!(answer.json()["openapi"], "3.1.0");
    assert!(answer.json()["paths"]["/api/management/v2/devauth/devices"]["get"].is_object());
    if let Ok(file) = env::var("MENDER_OPENAPI_FILE") {
        fs::write(file, &answer.body).unwrap();
    }
}
