use axum::{body::Body as AxumBody, extract::OriginalUri};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use mender_core::DeviceId;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    authenticate::{DeviceCaller, Internal, TrustGateway, UserCaller},
    body::Body,
    error::ApiError,
    health::{self, AlwaysHealthy},
    json::Json,
    page::{Paging, Rest},
    path::Path,
};

mod limits;
mod outside;

const DEVICES: &str = "/api/management/v2/devauth/devices";

async fn length(OriginalUri(_): OriginalUri, body: axum::body::Bytes) -> String {
    body.len().to_string()
}

fn routes() -> Routes {
    Routes::new()
        .get(DEVICES, async |UserCaller(_): UserCaller, page: Paging| {
            (page.headers(Rest::More(false)), "[]")
        })
        .post(DEVICES, async |UserCaller(_): UserCaller, Body(body): Body<Value>| body.to_string())
        .get("/api/management/v2/devauth/devices/count", async || "count")
        .get(
            "/api/management/v2/devauth/devices/{id}",
            async |UserCaller(ctx): UserCaller, Path(id): Path<DeviceId>| match id.as_str() {
                "panic" => panic!("on purpose"),
                "none" => Err(ApiError::new(StatusCode::NOT_FOUND, "device not found")),
                "empty" => Err(ApiError::empty(StatusCode::NOT_FOUND)),
                "scope" => Ok(format!("{:?}", ctx.scope.groups())),
                id => Ok(format!("{id} {}", ctx.tenant)),
            },
        )
        .delete("/api/management/v2/devauth/devices/{id}", async |Path(id): Path<String>| id)
        .get(
            "/api/devices/v1/inventory/{*rest}",
            async |DeviceCaller(ctx): DeviceCaller, Path(rest): Path<String>| {
                format!("{:?} {rest}", ctx.actor)
            },
        )
        .delete("/api/internal/v1/devauth/tenants/{id}", async |Path(id): Path<String>| id)
        .post("/api/devices/v1/authentication/auth_requests", async || "token")
        .get(
            "/api/internal/v1/devauth/tenants/{tenant}/devices/{id}/status",
            async |Internal(ctx): Internal, Path(id): Path<String>| {
                format!("{:?} {id:?}", ctx.tenant)
            },
        )
        .post("/api/management/v1/deployments/artifacts", length)
        .streaming()
        .post("/api/management/v1/deployments/bounded", length)
        .merge(health::routes(Arc::new(AlwaysHealthy)))
}

fn app() -> Routers {
    let mut settings = Settings::new(Env::system());
    settings.cors_origins = vec!["https://ui.example.com".into()];
    let trust = Arc::new(TrustGateway);
    routers(routes, &(), trust.clone(), Some(trust), &settings)
}

fn token(claims: &Value) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("Bearer e30.{claims}.x")
}

fn request(method: Method, path: &str) -> http::request::Builder {
    let user = token(&json!({"sub": "u", "mender.user": true, "mender.tenant": "t"}));
    let device = token(&json!({"sub": "d", "mender.device": true}));
    let who = if path.starts_with("/api/devices") { device } else { user };
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", who)
        .header("x-men-requestid", "r1")
}

async fn answer(router: Router, request: Request<AxumBody>) -> (Response<()>, String) {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
}

async fn send(method: Method, path: &str) -> (Response<()>, String) {
    let internal = path.starts_with("/api/internal") || path == "/status";
    let router = if internal { app().internal } else { app().public };
    answer(router, request(method, path).body(AxumBody::empty()).unwrap()).await
}

fn header<'a>(response: &'a Response<()>, name: &str) -> Vec<&'a str> {
    let values = response.headers().get_all(name).into_iter();
    values.map(|v| v.to_str().unwrap()).collect()
}

#[tokio::test]
async fn errors_name_the_request() {
    let (response, body) = send(Method::GET, &format!("{DEVICES}/none")).await;
    assert_eq!(response.status(), 404);
    assert_eq!(body, r#"{"error":"device not found","request_id":"r1"}"#);
    assert_eq!(header(&response, "x-men-requestid"), ["r1"]);
    assert_eq!(header(&response, "content-type"), ["application/json; charset=utf-8"]);
    let (response, body) = send(Method::GET, &format!("{DEVICES}/empty")).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (404, ""));
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_json() {
    let (response, body) = send(Method::GET, "/api/management/v9/nope").await;
    assert_eq!(response.status(), 404);
    assert_eq!(body, r#"{"error":"not found","request_id":"r1"}"#);
    for method in [Method::PATCH, Method::HEAD] {
        let (response, _) = send(method, DEVICES).await;
        assert_eq!(response.status(), 405);
        assert_eq!(header(&response, "allow"), ["GET, POST, OPTIONS"]);
    }
    let (response, _) = send(Method::POST, "/api/internal/v1/devauth/alive").await;
    assert_eq!(header(&response, "allow"), ["GET"]);
}

#[tokio::test]
async fn options_lists_methods_line_by_line() {
    let (response, body) = send(Method::OPTIONS, DEVICES).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (200, ""));
    assert_eq!(header(&response, "allow"), ["GET", "POST"]);
    let (response, _) = send(Method::OPTIONS, "/api/internal/v1/devauth/alive").await;
    assert_eq!(response.status(), 405);
}

#[tokio::test]
async fn slashes_at_the_end_redirect() {
    let (response, _) = send(Method::GET, &format!("{DEVICES}/?page=2")).await;
    assert_eq!(response.status(), 301);
    assert_eq!(header(&response, "location"), [format!("{DEVICES}?page=2")]);
    let (response, _) = send(Method::POST, &format!("{DEVICES}/")).await;
    assert_eq!(response.status(), 307);
    let (response, _) = send(Method::DELETE, &format!("{DEVICES}/")).await;
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn without_a_token_everything_is_401_first() {
    for (method, path) in [
        (Method::GET, "/api/management/v2/devauth/nope"),
        (Method::PATCH, DEVICES),
        (Method::OPTIONS, DEVICES),
        (Method::GET, "/api/management/v2/devauth/devices/"),
        (Method::GET, "/api/%6danagement/v2/devauth/devices"),
        (Method::GET, "/api/devices/v1/inventory/x"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(AxumBody::empty()).unwrap();
        let (response, _) = answer(app().public, request).await;
        assert_eq!(response.status(), 401, "{path}");
        let realm = header(&response, "www-authenticate");
        assert_eq!(realm, ["Bearer realm=\"ManagementJWT\""]);
    }
    let open = Request::post("/api/devices/v1/authentication/auth_requests/");
    let (response, _) = answer(app().public, open.body(AxumBody::empty()).unwrap()).await;
    assert_eq!(response.status(), 307);
}

#[tokio::test]
async fn tokens_of_the_other_kind_are_refused() {
    let device = token(&json!({"sub": "d", "mender.device": true}));
    let request = Request::get(DEVICES).header("authorization", device);
    let (response, body) = answer(app().public, request.body(AxumBody::empty()).unwrap()).await;
    assert_eq!(response.status(), 401);
    assert!(body.contains("unauthorized"));
}

#[tokio::test]
async fn paths_are_decoded_and_fixed_segments_win() {
    assert_eq!(send(Method::GET, &format!("{DEVICES}/a%20b%2Fc")).await.1, "a b/c t");
    assert_eq!(send(Method::GET, &format!("{DEVICES}/count")).await.1, "count");
    assert_eq!(send(Method::DELETE, &format!("{DEVICES}/count")).await.1, "count");
    let (_, body) = send(Method::GET, "/api/devices/v1/inventory/device/attributes").await;
    assert_eq!(body, "Device(\"d\") device/attributes");
}

#[tokio::test]
async fn empty_segments_are_values() {
    let status =
        |t: &str, d: &str| format!("/api/internal/v1/devauth/tenants/{t}/devices/{d}/status");
    assert_eq!(send(Method::GET, &status("", "d1")).await.1, "\"\" \"d1\"");
    assert_eq!(send(Method::GET, &status("t1", "")).await.1, "\"t1\" \"\"");
}

#[tokio::test]
async fn routes_name_their_parameters_apart() {
    let path = "/api/internal/v1/devauth/tenants/t1";
    assert_eq!(send(Method::DELETE, path).await.1, "t1");
}

#[tokio::test]
async fn documents_of_areas_are_served_together() {
    #[utoipa::path(get, path = "/api/x", responses((status = 204, description = "done")))]
    async fn x() {}
    #[derive(utoipa::OpenApi)]
    #[openapi(paths(x))]
    struct Area;
    let routes = || {
        let document = <Area as utoipa::OpenApi>::openapi();
        Routes::<()>::new().get("/api/x", x).document(&document)
    };
    let settings = Settings::new(Env::system());
    let app = routers(routes, &(), Arc::new(TrustGateway), None, &settings);
    let request = request(Method::GET, "/api/openapi.json").body(AxumBody::empty());
    let (_, body) = answer(app.public, request.unwrap()).await;
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["paths"]["/api/x"]["get"]["responses"]["204"]["description"], "done");
}

#[tokio::test]
async fn internal_routes_are_not_public() {
    let request = request(Method::GET, "/api/internal/v1/devauth/alive");
    let (response, _) = answer(app().public, request.body(AxumBody::empty()).unwrap()).await;
    assert_eq!(response.status(), 404);
    assert_eq!(send(Method::GET, "/api/internal/v1/devauth/health").await.0.status(), 204);
    assert_eq!(send(Method::GET, "/status").await.1, r#"{"status":"ok"}"#);
}

#[tokio::test]
async fn behind_a_gateway_the_internal_listener_answers_users() {
    let request = request(Method::GET, DEVICES).body(AxumBody::empty()).unwrap();
    assert_eq!(answer(app().internal, request).await.0.status(), 200);
}

#[tokio::test]
async fn only_a_gateway_in_front_limits_users_to_groups() {
    for (groups, within) in [
        ("", "None"),
        ("g1, g2", r#"Some(["g1", "g2"])"#),
        // No group is not every group.
        (" , ", "Some([])"),
    ] {
        let request = || {
            let request = request(Method::GET, &format!("{DEVICES}/scope"));
            let request = request.header("x-men-rbac-inventory-groups", groups);
            request.body(AxumBody::empty()).unwrap()
        };
        assert_eq!(answer(app().internal, request()).await.1, within, "{groups:?}");
        assert_eq!(answer(app().public, request()).await.1, "None", "{groups:?}");
    }
}

#[tokio::test]
async fn of_two_areas_the_narrower_limits_hold() {
    for (inventory, deployments, within) in
        [("", "g1,g2", r#"Some(["g1", "g2"])"#), ("g1,g3", "g2,g3", r#"Some(["g3"])"#)]
    {
        let request = request(Method::GET, &format!("{DEVICES}/scope"))
            .header("x-men-rbac-inventory-groups", inventory)
            .header("x-men-rbac-deployments-groups", deployments);
        let request = request.body(AxumBody::empty()).unwrap();
        assert_eq!(answer(app().internal, request).await.1, within);
    }
}

#[tokio::test]
async fn panics_are_500_and_tell_nothing() {
    let (response, body) = send(Method::GET, &format!("{DEVICES}/panic")).await;
    assert_eq!(response.status(), 500);
    assert_eq!(body, r#"{"error":"internal error","request_id":"r1"}"#);
}

#[tokio::test]
async fn public_answers_carry_security_headers_and_allow_known_origins() {
    let (response, _) = send(Method::GET, DEVICES).await;
    assert_eq!(header(&response, "x-content-type-options"), ["nosniff"]);
    for (origin, allowed) in [("https://ui.example.com", 1), ("https://evil.example", 0)] {
        let request = Request::options(DEVICES)
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .body(AxumBody::empty());
        let (response, _) = answer(app().public, request.unwrap()).await;
        assert_eq!(header(&response, "access-control-allow-origin").len(), allowed);
    }
}

#[tokio::test]
async fn the_reference_is_open() {
    let (response, body) = send(Method::GET, "/api/openapi.json").await;
    assert_eq!(response.status(), 200);
    assert!(body.contains("\"openapi\":\"3.1.0\""));
    assert_eq!(send(Method::GET, "/api/docs").await.0.status(), 200);
}

#[tokio::test]
async fn mounted_elsewhere_links_keep_the_prefix() {
    let app = Router::new().nest("/ota", app().public);
    let path = format!("/ota{DEVICES}");
    let (response, _) =
        answer(app.clone(), request(Method::GET, &path).body(AxumBody::empty()).unwrap()).await;
    assert_eq!(header(&response, "link"), [format!("<{path}?page=1&per_page=20>; rel=\"first\"")]);
    let slash = request(Method::GET, &format!("{path}/")).body(AxumBody::empty()).unwrap();
    assert_eq!(header(&answer(app, slash).await.0, "location"), [path]);
}
