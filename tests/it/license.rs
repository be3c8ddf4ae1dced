use std::time::Duration;

use mender::http::testing::TestApp;

use crate::support::{device, token_of};

const DAY: Duration = Duration::from_secs(86_400);
const LICENSE: &str = "/api/management/v2/devauth/license";

#[tokio::test]
async fn accepted_devices_are_counted_after_each_midnight() {
    let app = TestApp::new().await;
    let none = app.get(LICENSE).admin().send().await.assert_status(404);
    assert_eq!(none.text(), "");
    let _ = token_of(&app, &device("1")).await;
    app.advance(DAY).await;
    app.advance(DAY / 4).await;
    app.advance(DAY).await;
    let answer = app.get(LICENSE).admin().send().await.assert_status(200);
    assert_eq!(answer.headers["content-type"], "text/csv");
    let lines: Vec<&str> = answer.text().lines().collect();
    assert_eq!(lines[..3], ["date,standard,micro,system", "2026-01-02,1,0,0", "2026-01-03,1,0,0"]);
    assert!(lines[3].starts_with("# sha256 ") && lines.len() == 4, "{lines:?}");
}
