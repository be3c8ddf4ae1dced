//! What lies around the routes: origins, gateways, ids of requests, and what is counted.

use super::*;

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
