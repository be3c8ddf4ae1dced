//! Artifacts over HTTP, on memory: what the transcripts in `tests/compat` leave out.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic where tests would")]

use mender_core::{
    Ctx, Mender,
    artifacts::format::{FileRecipe, Recipe, SigningKey},
};
use mender_http::testing::{Setup, TestAnswer, TestApp};
use serde_json::json;

const ARTIFACTS: &str = "/api/management/v1/deployments/artifacts";
const VERIFICATION: &str = "/api/management/v1/deployments/settings/verification";

/// An artifact for pumps, signed or not.
fn artifact(name: &str, key: Option<&SigningKey>) -> Vec<u8> {
    let files = vec![FileRecipe::new("file", 5)];
    Recipe::module("script", name, ["pump"], files, None).build(&[b"hello"], key).unwrap()
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(b"--x--\r\n");
    body
}

async fn post(app: &TestApp, path: &str, parts: &[(&str, &[u8])], token: &str) -> TestAnswer {
    let kind = "multipart/form-data; boundary=x";
    let request = app.post(path).header("content-type", kind).body(form(parts));
    if token.is_empty() { request.send().await } else { request.bearer(token).send().await }
}

async fn upload(app: &TestApp, artifact: &[u8]) -> TestAnswer {
    post(app, ARTIFACTS, &[("artifact", artifact)], app.token()).await
}

fn header<'a>(answer: &'a TestAnswer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn id(created: &TestAnswer) -> String {
    header(created, "location").rsplit('/').next().unwrap().to_owned()
}

/// The path and query of the link to an artifact.
async fn link(app: &TestApp, id: &str) -> String {
    let link = app.get(&format!("{ARTIFACTS}/{id}/download")).admin().send().await;
    let link = link.assert_status(200).json();
    let uri = link["uri"].as_str().unwrap();
    format!("/{}", uri.splitn(4, '/').nth(3).unwrap())
}

#[tokio::test]
async fn downloads_go_on_where_they_broke_off() {
    let app = TestApp::new().await;
    let file = artifact("r1", None);
    let id = id(&upload(&app, &file).await.assert_status(201));
    let link = link(&app, &id).await;
    let whole = app.get(&link).send().await.assert_status(200);
    assert_eq!(whole.body, file);
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    let rest = app.get(&link).header("range", "bytes=1000-").send().await.assert_status(206);
    assert_eq!(rest.body, file[1000..]);
    let range = format!("bytes 1000-{}/{}", file.len() - 1, file.len());
    assert_eq!(header(&rest, "content-range"), range);
    let since = header(&whole, "last-modified").to_owned();
    let known = app.get(&link).header("if-modified-since", &since).send().await;
    let _ = known.assert_status(304);
    let forged = link.replace("token=", "token=x");
    let _ = app.get(&forged).send().await.assert_status(403);
    let _ = app.put(&link).body("x").send().await.assert_status(403);
}

#[tokio::test]
async fn the_policy_of_a_tenant_is_kept() {
    let app = TestApp::new().await;
    let public = include_str!("../../mender-core/src/artifacts/format/signing/keys/p256.pub");
    let private =
        include_str!("../../mender-core/src/artifacts/format/signing/keys/p256-pkcs8.pem");
    let key = SigningKey::from_pem(private).unwrap();
    let wanted = json!({"policy": "signed", "keys": [{"name": "factory", "key": public}]});
    let _ = app.put(VERIFICATION).admin().json(&wanted).send().await.assert_status(204);
    let kept = app.get(VERIFICATION).admin().send().await.assert_status(200).json();
    assert_eq!(kept, wanted);
    let refused = upload(&app, &artifact("r1", None)).await.assert_status(403);
    assert_eq!(refused.json()["error"], "the artifact is not signed");
    let id = id(&upload(&app, &artifact("r1", Some(&key))).await.assert_status(201));
    let shown = app.get(&format!("{ARTIFACTS}/{id}")).admin().send().await.assert_status(200);
    assert_eq!(shown.json()["signature"], json!({"result": "trusted", "key": "factory"}));
    for (wrong, why) in [
        (json!({"policy": "maybe"}), "malformed JSON"),
        (json!({"keys": [{"name": "k", "key": "x"}]}), "cannot decode public key"),
        (json!({"keys": [{"name": "", "key": public}]}), "a name has"),
    ] {
        let answer = app.put(VERIFICATION).admin().json(&wrong).send().await.assert_status(400);
        assert!(answer.text().contains(why), "{}", answer.text());
    }
}

#[tokio::test]
async fn tenants_see_their_own_and_store_what_they_may() {
    let setup = Setup { tenants: true, ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let [a, b] = [&app.tenants[0], &app.tenants[1]];
    let file = artifact("r1", None);
    let created = post(&app, ARTIFACTS, &[("artifact", &file)], &a.user).await.assert_status(201);
    let path = format!("{ARTIFACTS}/{}", id(&created));
    let _ = app.get(&path).bearer(&a.user).send().await.assert_status(200);
    let _ = app.get(&path).bearer(&b.user).send().await.assert_status(404);
    let _ = app.get(&format!("{path}/download")).bearer(&b.user).send().await.assert_status(404);
    let _ = app.delete(&path).bearer(&b.user).send().await.assert_status(404);

    let limits = format!("/api/internal/v1/deployments/tenants/{}/limits/storage", b.id);
    let _ = app.put(&limits).json(&json!({"limit": 10})).send().await.assert_status(204);
    let refused = post(&app, ARTIFACTS, &[("artifact", &file)], &b.user).await;
    assert_eq!(refused.assert_status(413).json()["error"], "storage limit exceeded");
    let _ = app.put(&limits).json(&json!({"limit": -1})).send().await.assert_status(204);
    let _ = post(&app, ARTIFACTS, &[("artifact", &file)], &b.user).await.assert_status(201);
    let shown = app.get(&limits).send().await.assert_status(200).json();
    let size = file.len();
    assert_eq!(
        shown,
        json!({"tenant_id": b.id, "limit": -1, "current_value": size, "usage": size})
    );
}

#[tokio::test]
async fn forms_that_break_off_leave_nothing() {
    let app = TestApp::new().await;
    let whole = form(&[("artifact", &artifact("r1", None))]);
    for cut in [10, 60, 700, whole.len() - 20] {
        let kind = "multipart/form-data; boundary=x";
        let request = app.post(ARTIFACTS).header("content-type", kind).body(whole[..cut].to_vec());
        let _ = request.admin().send().await.assert_status(400);
    }
    let ctx = Ctx::system(Default::default());
    let left = app.mender.artifacts().count_artifacts(&ctx, Default::default()).await.unwrap();
    assert_eq!(left, 0);
}
