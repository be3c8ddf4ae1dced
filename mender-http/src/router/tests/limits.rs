use super::*;

async fn post(kind: Option<&str>, body: String, declared: bool) -> (u16, String) {
    let mut request = request(Method::POST, DEVICES);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    if declared {
        request = request.header("content-length", body.len());
    }
    let (response, body) = answer(app().public, request.body(body.into()).unwrap()).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let text = body["error"].as_str().unwrap_or_default().to_owned();
    (response.status().as_u16(), text)
}

#[tokio::test]
async fn bodies_are_checked() {
    let large = || " ".repeat((1 << 20) + 1);
    let json = Some("application/json");
    let missing = "Invalid value for Content-Type header: mime: no media type";
    let other = "Bad Content-Type, expected 'application/json'";
    let too_large = "http: request body too large";
    for (kind, body, declared, status, text) in [
        (None, "{}".into(), true, 400, missing),
        (None, "{}".into(), false, 200, ""),
        (Some("text/plain"), "{}".into(), true, 415, other),
        (json, String::new(), true, 400, "EOF"),
        (json, "[".into(), true, 400, "unexpected EOF"),
        (json, large(), true, 413, too_large),
        (json, large(), false, 400, too_large),
    ] {
        assert_eq!(post(kind, body, declared).await, (status, text.to_owned()));
    }
}

#[tokio::test]
async fn streams_have_no_limit_but_all_else_has() {
    let length = (1 << 20) + 1;
    let send = async |path| {
        let request = request(Method::POST, path).body(" ".repeat(length).into()).unwrap();
        let (response, body) = answer(app().public, request).await;
        (response.status().as_u16(), body)
    };
    let streamed = send("/api/management/v1/deployments/artifacts").await;
    assert_eq!(streamed, (200, length.to_string()));
    let bounded = send("/api/management/v1/deployments/bounded").await;
    assert_eq!(bounded.0, 413, "{}", bounded.1);
}

#[tokio::test]
async fn large_answers_are_compressed_where_asked_but_not_streams() {
    let routes = || {
        let large = async || Json("x".repeat(5000));
        Routes::<()>::new().get("/api/large", large).get("/api/stream", large).streaming()
    };
    let settings = Settings::new(Env::system());
    let app = routers(routes, &(), Arc::new(TrustGateway), None, &settings);
    for (path, encoding) in [("/api/large", &["gzip"][..]), ("/api/stream", &[])] {
        let request = request(Method::GET, path).header("accept-encoding", "gzip");
        let request = request.body(AxumBody::empty()).unwrap();
        let response = app.public.clone().oneshot(request).await.unwrap();
        let response = response.map(|_| ());
        assert_eq!(header(&response, "content-encoding"), encoding);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_take_too_long_are_503() {
    let routes = || {
        Routes::<()>::new().get("/api/slow", async || {
            tokio::time::sleep(Duration::from_secs(60)).await;
        })
    };
    let settings = Settings::new(Env::system());
    let app = routers(routes, &(), Arc::new(TrustGateway), None, &settings);
    let request = request(Method::GET, "/api/slow").body(AxumBody::empty());
    let (response, body) = answer(app.public, request.unwrap()).await;
    assert_eq!(response.status(), 503);
    assert!(body.contains("service unavailable"));
}
