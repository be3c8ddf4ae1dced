use std::time::Duration;

use mender::{
    Mender,
    http::testing::{Setup, TestApp},
};
use serde_json::{Value, json};

use crate::support::{DEVICES, NOWHERE, accept_all, ask, device, error, token_of};

const WEEK: Duration = Duration::from_secs(604_800);

/// Base64 as tokens have it, by the crate that signs them: two parts of a token made elsewhere.
fn part(value: &Value) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in value.to_string().as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, b| (bits << 8) | u32::from(*b));
        let bits = bits << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            let digit = (bits >> (18 - 6 * i)) & 63;
            out.push(DIGITS[digit as usize].into());
        }
    }
    out
}

fn claims(kind: &str, tenant: &str) -> Value {
    let mut claims = json!({
        "jti": "j", "sub": "s", "iss": "Mender", "exp": 4_000_000_000_i64, "iat": 0, "nbf": 0,
        "scp": "mender.*",
    });
    claims[kind] = json!(true);
    if !tenant.is_empty() {
        claims["mender.tenant"] = json!(tenant);
    }
    claims
}

/// Tokens that are wrong in one way each, made from one that is right.
fn forgeries(token: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, payload, signature] = parts[..] else {
        panic!("{token}");
    };
    let alg = |alg: &str| part(&json!({"alg": alg, "typ": "JWT", "kid": 0}));
    let other = part(&claims("mender.device", ""));
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    vec![
        ("other claims", format!("{head}.{other}.{signature}")),
        ("no algorithm", format!("{}.{payload}.", alg("none"))),
        ("no algorithm, signed", format!("{}.{payload}.{signature}", alg("none"))),
        ("algorithm in capitals", format!("{}.{payload}.", alg("NONE"))),
        ("RSA for EdDSA", format!("{}.{payload}.{signature}", alg("RS256"))),
        ("HMAC for EdDSA", format!("{}.{payload}.{signature}", alg("HS256"))),
        ("other signature", format!("{head}.{payload}.{flipped}{}", &signature[1..])),
        ("cut signature", format!("{head}.{payload}.{}", &signature[..40])),
        ("no signature", format!("{head}.{payload}.")),
        ("padded", format!("{token}==")),
    ]
}

#[tokio::test]
async fn forged_device_tokens_are_401_without_a_body() {
    let app = TestApp::new().await;
    let token = token_of(&app, &device("1")).await;
    let _ = app.get(NOWHERE).bearer(&token).send().await.assert_status(404);
    for (what, forged) in forgeries(&token) {
        let answer = app.get(NOWHERE).bearer(&forged).send().await;
        assert_eq!((answer.status.as_u16(), answer.text()), (401, ""), "{what}");
    }
    let user = app.get(NOWHERE).admin().send().await.assert_status(401);
    assert_eq!(user.text(), "");
    let cookie = app.get(NOWHERE).header("cookie", &format!("JWT={token}"));
    let cookie = cookie.send().await.assert_status(401);
    assert_eq!(error(&cookie), "Authorization not present in header");
    let _ = app.get(NOWHERE).bearer(&token).send().await.assert_status(404);
}

#[tokio::test]
async fn forged_user_tokens_are_401() {
    let app = TestApp::new().await;
    for (what, forged) in forgeries(app.token()) {
        let answer = app.get(DEVICES).bearer(&forged).send().await;
        let got = (answer.status.as_u16(), error(&answer));
        assert_eq!(got, (401, "invalid jwt".into()), "{what}");
    }
    let device = token_of(&app, &device("1")).await;
    let _ = app.get(DEVICES).bearer(&device).send().await.assert_status(401);
}

#[tokio::test]
async fn tokens_that_are_none_are_named() {
    let app = TestApp::new().await;
    let long = "a".repeat(50_000);
    for (header, text) in [
        ("", "Authorization not present in header"),
        ("Bearer", "malformed Authorization header"),
        ("Bearer a b", "malformed Authorization header"),
        ("Basic abc", "unknown Authorization method Basic"),
        ("Bearer a.b", "identity: incorrect token format"),
        ("Bearer a.b.c.d", "identity: incorrect token format"),
        (&*format!("Bearer {long}"), "identity: incorrect token format"),
        ("Bearer a.!!.c", "identity: failed to decode base64 JWT claims: "),
        ("Bearer a.e30.c", "identity: claim \"sub\" is required"),
        ("Bearer a.W10.c", "identity: claim \"sub\" is required"),
        ("Bearer a.e3.c", "identity: failed to decode"),
    ] {
        for path in [DEVICES, NOWHERE] {
            let answer = app.get(path).header("authorization", header).send().await;
            let answer = answer.assert_status(401);
            assert!(error(&answer).starts_with(text), "{header:.40} {path}: {answer:?}");
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }
}

#[tokio::test]
async fn expired_tokens_are_401_so_that_devices_ask_again() {
    let app = TestApp::new().await;
    let device = device("1");
    let token = token_of(&app, &device).await;
    app.advance(WEEK - Duration::from_secs(1)).await;
    let _ = app.get(NOWHERE).bearer(&token).send().await.assert_status(404);
    app.advance(Duration::from_secs(1)).await;
    let answer = app.get(NOWHERE).bearer(&token).send().await.assert_status(401);
    assert_eq!(answer.text(), "");
    let token = ask(&app, &device).await.assert_status(200);
    let _ = app.get(NOWHERE).bearer(token.text()).send().await.assert_status(404);
    app.drain().await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let setup = Setup { tenants: true, ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let [a, b] = &app.tenants[..] else {
        panic!("two tenants");
    };
    let same = |token: &str| device("1").of_tenant(token);
    let token = token_of(&app, &same(&a.token)).await;
    let list = app.get(DEVICES).bearer(&a.user).send().await.json();
    let (id, set) = (&list[0]["id"], &list[0]["auth_sets"][0]["id"]);
    let path = format!("{DEVICES}/{}", id.as_str().unwrap());
    let set = set.as_str().unwrap();
    assert_eq!(app.get(DEVICES).bearer(&b.user).send().await.text(), "[]");
    let answer = app.get(&path).bearer(&b.user).send().await.assert_status(404);
    assert_eq!(error(&answer), "device not found");
    let _ = app.delete(&path).bearer(&b.user).send().await.assert_status(404);
    let status = format!("{path}/auth/{set}/status");
    let put = app.put(&status).bearer(&b.user).json(&json!({"status": "rejected"}));
    let _ = put.send().await.assert_status(404);
    let revoke = format!("/api/management/v2/devauth/tokens/{set}");
    let _ = app.delete(&revoke).bearer(&b.user).send().await.assert_status(404);
    // The same identity and key is another device there.
    let _ = ask(&app, &same(&b.token)).await.assert_status(401);
    accept_all(&app, &b.user).await;
    let theirs = ask(&app, &same(&b.token)).await.assert_status(200);
    let ids = app.get(DEVICES).bearer(&b.user).send().await.json();
    assert!(ids[0]["id"].is_string() && ids[0]["id"] != *id);
    // Claims of one with the signature of the other.
    let parts: Vec<&str> = token.split('.').collect();
    let payload = theirs.text().split('.').nth(1).unwrap();
    let mixed = format!("{}.{payload}.{}", parts[0], parts[2]);
    let _ = app.get(NOWHERE).bearer(&mixed).send().await.assert_status(401);
    let unnamed = part(&claims("mender.device", ""));
    let unnamed = format!("{}.{unnamed}.{}", parts[0], parts[2]);
    let _ = app.get(NOWHERE).bearer(&unnamed).send().await.assert_status(401);
    let _ = app.get(NOWHERE).bearer(&token).send().await.assert_status(404);
    app.drain().await;
}

#[tokio::test]
async fn add_ons_hold_whatever_way_the_path_is_written() {
    let setup = Setup { tenants: true, ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let ctx = mender::ctx::Ctx::system(Default::default());
    let new = mender::tenants::NewTenant {
        name: "poor".into(),
        plan: mender::tenants::Plan::Os,
        addons: Vec::new(),
    };
    let poor = app.mender.tenants().create(&ctx, &new).await.unwrap();
    let device = device("1").of_tenant(&poor.token);
    let _ = ask(&app, &device).await.assert_status(401);
    let ctx = mender::ctx::Ctx::system(poor.id.clone());
    let auth = app.mender.auth();
    let all = auth.devices(&ctx, Default::default(), Default::default()).await.unwrap();
    let found = &all.items[0].device;
    auth.decide(&ctx, &found.id, &found.sets[0].id, mender::auth::Status::Accepted).await.unwrap();
    let token = ask(&app, &device).await.assert_status(200);
    for path in [
        "/api/devices/v1/deviceconfig/configuration",
        "/api/devices/v1/%64eviceconfig/configuration",
        "/%61pi/devices/v9/deviceconfig",
    ] {
        let answer = app.get(path).bearer(token.text()).send().await.assert_status(403);
        assert_eq!(error(&answer), "operation requires addon: configure", "{path}");
    }
    let _ = app.get(NOWHERE).bearer(token.text()).send().await.assert_status(404);
    app.drain().await;
}
