use std::sync::atomic::{AtomicI64, Ordering};

use axum::response::IntoResponse;
use http::header::RETRY_AFTER;
use mender_core::{Time, env};

use super::*;

struct At(Arc<AtomicI64>);

impl env::Clock for At {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

struct Zero;

impl env::Entropy for Zero {
    fn fill(&self, _: &mut [u8]) {}
}

fn limiter(config: &str) -> (Arc<AtomicI64>, Limiter) {
    let now = Arc::new(AtomicI64::new(0));
    let env = Env::new(At(now.clone()), Zero);
    let config = serde_json::from_str(config).unwrap();
    (now, Limiter::new(env, &config).unwrap())
}

fn caller(subject: &str) -> Claims {
    Claims { subject: subject.into(), ..Claims::default() }
}

fn ask(limiter: &Limiter, who: &str, method: &str, path: &str) -> Result<(), u64> {
    let asked = Asked { method, path };
    limiter.check(&caller(who), asked, Standing::Verified).map_err(|e| {
        assert_eq!(e.status(), 429);
        let response = e.into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        response.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap()
    })
}

const TWO: &str = r#"{
    "groups": [
        {"name": "poll", "quota": 1, "interval": "10s", "event_expression": "{{.Identity.Subject}}"},
        {"name": "all", "quota": 3, "interval": "1m"}
    ],
    "match": [
        {"api_pattern": "/", "group_expression": "all"},
        {"api_pattern": "GET /next/{id}", "group_expression": "poll"},
        {"api_pattern": "/free/", "group_expression": "nobody's"}
    ]
}"#;

#[test]
fn a_window_ends_and_another_begins() {
    let (now, limiter) = limiter(TWO);
    now.store(10_001, Ordering::Relaxed);
    assert_eq!(ask(&limiter, "a", "GET", "/next/1"), Ok(()));
    assert_eq!(ask(&limiter, "a", "GET", "/next/2"), Err(10));
    assert_eq!(ask(&limiter, "b", "GET", "/next/1"), Ok(()));
    now.store(19_500, Ordering::Relaxed);
    assert_eq!(ask(&limiter, "a", "GET", "/next/1"), Err(1));
    now.store(20_000, Ordering::Relaxed);
    assert_eq!(ask(&limiter, "a", "GET", "/next/1"), Ok(()));
}

#[test]
fn without_an_event_all_callers_share_the_quota() {
    let (_, limiter) = limiter(TWO);
    for who in ["a", "b", "c"] {
        assert_eq!(ask(&limiter, who, "POST", "/next/1"), Ok(()));
    }
    assert_eq!(ask(&limiter, "d", "GET", "/"), Err(60));
    assert_eq!(ask(&limiter, "d", "GET", "/free/x"), Ok(()));
}

#[test]
fn who_only_claims_to_be_somebody_uses_up_nobodys_quota() {
    let (_, limiter) = limiter(TWO);
    let asked = Asked { method: "GET", path: "/next/1" };
    let refused = || limiter.check(&caller("a"), asked, Standing::Refused);
    assert!(refused().is_ok() && refused().is_err());
    assert_eq!(ask(&limiter, "a", "GET", "/next/1"), Ok(()));
}

#[test]
fn what_fits_nothing_may_be_refused() {
    let (_, limiter) = limiter(r#"{"reject_unmatched": true}"#);
    assert_eq!(ask(&limiter, "a", "GET", "/"), Err(1));
}

#[test]
fn escapes_do_not_lead_around_a_limit() {
    let (_, limiter) = limiter(TWO);
    assert_eq!(ask(&limiter, "a", "GET", "/next/1"), Ok(()));
    assert!(ask(&limiter, "a", "GET", "/%6eext/1").is_err());
}

#[test]
fn mistakes_are_named() {
    let text = |groups: &str, matches: &str| {
        let text = format!(r#"{{"groups": [{groups}], "match": [{matches}]}}"#);
        let config = serde_json::from_str(&text).unwrap();
        Limiter::new(Env::system(), &config).unwrap_err().to_string()
    };
    let group = r#"{"name": "a", "quota": 1, "interval": "1s"}"#;
    assert_eq!(
        text(&format!("{group},{group}"), ""),
        "ratelimits: duplicate limit group name: 'a'"
    );
    let at = |pattern: &str| format!(r#"{{"api_pattern": "{pattern}", "group_expression": "a"}}"#);
    assert_eq!(
        text(group, &format!("{},{}", at("/x/{a}"), at("/x/{b}"))),
        "ratelimits: duplicate API pattern: '/x/{b}'"
    );
    let odd = r#"{"name": "a", "quota": 1, "interval": "1s", "event_expression": "{{.X}}"}"#;
    assert_eq!(
        text(odd, ""),
        "ratelimits: invalid event expression '{{.X}}': unsupported expression {{.X}}"
    );
}

#[test]
fn the_defaults_are_sound() {
    for config in [Config::devices(), Config::users()] {
        assert!(Limiter::new(Env::system(), &config).is_ok());
    }
}
