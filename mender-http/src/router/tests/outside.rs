//! What lies around the routes: origins, gateways, ids of requests, and what is counted.

use mender_core::Mender;

use super::*;
use crate::app::{self, Gateway};

#[tokio::test]
async fn any_origin_may_be_allowed_but_without_credentials() {
    let mut settings = Settings::new(Env::system());
    settings.cors_origins = vec!["*".into()];
    let app = routers(routes, &(), Arc::new(TrustGateway), None, &settings);
    let preflight = Request::options(DEVICES).header("access-control-request-method", "GET");
    for request in [preflight, request(Method::GET, DEVICES)] {
        let request = request.header("origin", "https://any.example").body(AxumBody::empty());
        let (response, _) = answer(app.public.clone(), request.unwrap()).await;
        assert!(response.status().is_success());
        assert_eq!(header(&response, "access-control-allow-origin"), ["*"]);
        assert!(header(&response, "access-control-allow-credentials").is_empty());
    }
}

#[tokio::test]
async fn only_the_listener_behind_the_gateway_trusts_forged_tokens() {
    let mender = Mender::in_memory().build().unwrap();
    let settings = Settings::new(mender.env().clone());
    let status = async |gateway, public: bool| {
        let app = app::server(&mender, &settings, gateway);
        let router = if public { app.public } else { app.internal };
        let request = request(Method::GET, DEVICES).body(AxumBody::empty());
        answer(router, request.unwrap()).await.0.status().as_u16()
    };
    assert_eq!(status(Gateway::Trusted, false).await, 200);
    assert_eq!(status(Gateway::Trusted, true).await, 401);
    assert_eq!(status(Gateway::None, false).await, 404);
}

#[tokio::test]
async fn behind_a_gateway_options_need_no_token() {
    let options = || Request::options(DEVICES).body(AxumBody::empty()).unwrap();
    let (response, _) = answer(app().internal, options()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "allow"), ["GET", "POST"]);
    let get = Request::get(DEVICES).body(AxumBody::empty()).unwrap();
    assert_eq!(answer(app().internal, get).await.0.status(), 401);
    assert_eq!(answer(app().public, options()).await.0.status(), 401);
}

#[tokio::test]
async fn long_ids_of_requests_are_echoed_whole_but_noted_in_part() {
    let routes = || {
        Routes::new()
            .get(DEVICES, async |UserCaller(ctx): UserCaller| ctx.request.to_string())
            .get("/api/internal/v1/devauth/x", async |Internal(ctx): Internal| {
                ctx.request.to_string()
            })
    };
    let settings = Settings::new(Env::system());
    let app = routers(routes, &(), Arc::new(TrustGateway), None, &settings);
    let id = "i".repeat(1000);
    let send = async |router: &Router, path: &str| {
        let mut request = request(Method::GET, path).body(AxumBody::empty()).unwrap();
        request.headers_mut().insert("x-men-requestid", id.parse().unwrap());
        let (response, body) = answer(router.clone(), request).await;
        assert_eq!(header(&response, "x-men-requestid"), [&id]);
        body
    };
    assert_eq!(send(&app.public, DEVICES).await, id[..256]);
    assert_eq!(send(&app.internal, "/api/internal/v1/devauth/x").await, id[..256]);
    assert!(send(&app.public, "/api/nope").await.contains(&id));
}

#[test]
fn requests_are_counted_by_route_and_not_by_what_clients_invent() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            send(Method::GET, &format!("{DEVICES}/d1")).await;
            send(Method::GET, &format!("{DEVICES}/d2")).await;
            send("INVENTED".parse().unwrap(), "/api/invented").await;
        });
    });
    let shown = recorder.handle().render();
    let route = "route=\"/api/management/v2/devauth/devices/{id}\"";
    for line in [
        format!("mender_http_requests_total{{method=\"GET\",{route},status=\"200\"}} 2"),
        "mender_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 1".into(),
        format!("mender_http_request_seconds_count{{method=\"GET\",{route}}} 2"),
    ] {
        assert!(shown.contains(&line), "{line} is not in {shown}");
    }
    assert!(!shown.to_lowercase().contains("invented"));
}
