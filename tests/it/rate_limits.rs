use std::time::Duration;

use mender::{
    Mender,
    http::{
        ratelimit::{Config, Group, Limiter, Match, RateLimits},
        router::Settings,
        testing::{Setup, TestAnswer, TestApp},
    },
};

use crate::support::{DEVICES, NOWHERE, device, token_of};

const VERIFY_DEVICE: &str = "/api/internal/v1/devauth/tokens/verify";
const VERIFY_USER: &str = "/api/internal/v1/useradm/auth/verify";

/// Two requests to one path a minute for each caller, and nothing else limited.
fn two(pattern: &str) -> Config {
    Config {
        reject_unmatched: false,
        groups: vec![Group {
            name: "two".into(),
            quota: 2,
            interval: Duration::from_secs(60),
            event_expression: "{{with .Identity}}{{.Subject}}{{end}}".into(),
        }],
        matches: vec![Match { api_pattern: pattern.into(), group_expression: "two".into() }],
    }
}

fn limit(settings: &mut Settings) {
    let limiter = |pattern| Limiter::new(settings.env.clone(), &two(pattern)).unwrap();
    let devices = limiter("/api/devices/{version}/nowhere");
    settings.rate_limits = RateLimits::new(Some(devices), Some(limiter(&format!("GET {DEVICES}"))));
}

async fn limited() -> TestApp {
    let setup = Setup { settings: Some(limit), ..Setup::default() };
    TestApp::set_up(Mender::in_memory(), setup).await
}

fn check_refusal(answer: &TestAnswer) {
    assert_eq!(answer.status.as_u16(), 429);
    assert_eq!(answer.headers["content-type"], "application/json");
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(answer.json()["error"], "too many requests");
    assert!(answer.json()["request_id"].is_string());
}

#[tokio::test]
async fn devices_are_limited_at_both_doors_together() {
    let app = limited().await;
    let token = token_of(&app, &device("1")).await;
    let verify = |path: &'static str| {
        let request = app.get(VERIFY_DEVICE).bearer(&token);
        let request = request.header("x-forwarded-method", "GET");
        request.header("x-forwarded-uri", path).send()
    };
    let _ = app.get(NOWHERE).bearer(&token).send().await.assert_status(404);
    let _ = verify("/api/devices/v1/nowhere?x=/").await.assert_status(200);
    check_refusal(&app.get(NOWHERE).bearer(&token).send().await);
    check_refusal(&verify(NOWHERE).await);
    let _ = verify("/api/devices/v1/elsewhere").await.assert_status(200);
    app.advance(Duration::from_secs(60)).await;
    let _ = verify(NOWHERE).await.assert_status(200);
}

#[tokio::test]
async fn refused_tokens_count_but_not_against_the_device_they_name() {
    let app = limited().await;
    let token = token_of(&app, &device("1")).await;
    let forged = format!("{token}AA");
    for status in [401, 401] {
        let _ = app.get(NOWHERE).bearer(&forged).send().await.assert_status(status);
    }
    check_refusal(&app.get(NOWHERE).bearer(&forged).send().await);
    let _ = app.get(NOWHERE).bearer(&token).send().await.assert_status(404);
    for _ in 0..3 {
        let none = app.get(NOWHERE).send().await.assert_status(401);
        assert_eq!(none.json()["error"], "Authorization not present in header");
    }
}

#[tokio::test]
async fn users_are_limited_once_their_token_is_found_valid() {
    let app = limited().await;
    let verify = || {
        let request = app.get(VERIFY_USER).bearer(app.token());
        let request = request.header("x-forwarded-method", "GET");
        request.header("x-forwarded-uri", DEVICES).send()
    };
    let _ = app.get(DEVICES).admin().send().await.assert_status(200);
    let _ = verify().await.assert_status(200);
    check_refusal(&verify().await);
    check_refusal(&app.get(DEVICES).admin().send().await);
    let unnamed = app.get(VERIFY_USER).bearer(app.token()).send().await;
    assert_eq!(unnamed.status.as_u16(), 500);
    let forged = format!("{}AA", app.token());
    let _ = app.get(DEVICES).bearer(&forged).send().await.assert_status(401);
    let count = format!("{DEVICES}/count");
    let _ = app.get(&count).admin().send().await.assert_status(200);
}

#[tokio::test]
async fn nobody_is_limited_by_default() {
    let app = TestApp::new().await;
    for _ in 0..400 {
        let _ = app.get(DEVICES).admin().send().await.assert_status(200);
    }
}
