use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;

use super::*;
use crate::{
    Json, Routes, Settings,
    authenticate::TrustGateway,
    health::{self, AlwaysHealthy},
    router::routers,
    testing::transcript::transport::{InProcess, Settle},
};

/// A clock in milliseconds, as the server's state.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

#[async_trait]
impl Settle for Clock {
    async fn settle(&self, wait: Duration) {
        let ms = u64::try_from(wait.as_millis()).unwrap();
        self.0.fetch_add(ms, Relaxed);
    }
}

fn runner() -> Runner<InProcess> {
    let clock = Clock::default();
    let now = clock.clone();
    let routes = move || {
        let now = now.clone();
        Routes::<()>::new()
            .get("/api/management/v1/useradm/now", async move || {
                Json(json!({"now": now.0.load(Relaxed)}))
            })
            .post("/api/management/v1/useradm/auth/echo", async |body: Bytes| body)
            .merge(health::routes(Arc::new(AlwaysHealthy)))
    };
    let settings = Settings::new(Env::system());
    let routers = routers(routes, &(), Arc::new(TrustGateway), None, &settings);
    let token = "e30.eyJzdWIiOiJ1IiwibWVuZGVyLnVzZXIiOnRydWV9.x";
    Runner::new(InProcess::new(routers, clock), token)
}

#[tokio::test]
async fn waiting_and_trying_again_move_the_clock() {
    let text = "
steps:
- {wait: 1, path: /api/management/v1/useradm/now, expect: {status: 200, json: {now: 1001}}}
- {tries: 9, path: /api/management/v1/useradm/now, expect: {status: 200, json: {now: 1602}}}
";
    let report = runner().play("t", text).await;
    assert_eq!(report.to_string(), "2 passed, 0 failed, 0 skipped");
}

#[tokio::test]
async fn what_an_unbuilt_area_gives_is_skipped_with_it() {
    let text = "
devices: {d1: {}}
steps:
- {path: /api/management/v1/inventory/devices, save: {id: 0.id}, token: x, expect: {status: 200}}
- {path: '/api/management/v1/useradm/users/${id}', expect: {status: 200}}
- {as: x, path: /api/management/v1/useradm/now, expect: {status: 200}}
- {as: none, path: /api/internal/v1/inventory/alive, expect: {status: 204}}
- {base: workflows, path: /status, expect: {status: 200, json: {status: ok}}}
";
    let runner = runner().not_built(&["inventory"]);
    let report = runner.play("t", text).await;
    assert_eq!(report.to_string(), "2 passed, 0 failed, 3 skipped");
}

#[tokio::test]
async fn failures_stop_a_file_but_not_what_undoes() {
    let text = "
steps:
- {name: one, path: /api/management/v1/useradm/now, expect: {status: 404, body: any}}
- {path: /api/management/v1/useradm/now, expect: {status: 200, body: any}}
- {always: true, path: /api/management/v1/useradm/now, expect: {status: 200, body: any}}
";
    let report = runner().play("t", text).await;
    let text = "FAIL t #1 one GET /api/management/v1/useradm/now\n  status: 200, not 404\n\
                1 passed, 1 failed, 1 skipped";
    assert_eq!(report.to_string(), text);
}

#[tokio::test]
async fn bodies_of_every_form_arrive() {
    let text = "
vars: {v: 'a b'}
devices: {d: {key: p521}}
steps:
- {method: POST, path: /api/management/v1/useradm/auth/echo, json: {a: '${v}'}, save: {x: a},
   expect: {status: 200, json: {a: a b}}}
- {method: POST, path: /api/management/v1/useradm/auth/echo, form: {a: '${x}'}, sign: d,
   expect: {status: 200, text: a=a+b}}
- {method: POST, path: /api/management/v1/useradm/auth/echo, repeat: {text: ab, times: 3},
   expect: {status: 200, text: ababab}}
- {method: POST, path: /api/management/v1/useradm/auth/echo, text: e30.eyJhIjoxfQ.x,
   expect: {status: 200, jwt: {header: {}, claims: {a: 1}}}}
- {method: POST, path: /api/management/v1/useradm/auth/echo,
   multipart: [{name: n, value: '${d.pubkey}', type: text/x}],
   expect: {status: 200, text: '$re name=\"n\"\\s+Content-Type: text/x.*BEGIN PUBLIC'}}
";
    let report = runner().play("t", text).await;
    assert_eq!(report.to_string(), "5 passed, 0 failed, 0 skipped");
}

#[tokio::test]
async fn callers_and_variables_may_be_given() {
    let text = "
steps:
- {as: other, path: '/api/management/v1/useradm/${what}', expect: {status: 200, body: any}}
- {as: nobody, path: '/api/management/v1/useradm/${what}', expect: {status: 401, body: any}}
";
    let token = "e30.eyJzdWIiOiJ2IiwibWVuZGVyLnVzZXIiOnRydWV9.x";
    let runner = runner().given("what", "now").caller("other", token);
    let report = runner.play("t", text).await;
    assert_eq!(report.to_string(), "2 passed, 0 failed, 0 skipped");
    assert_eq!(needs("{needs: [a b, c]}"), ["a b", "c"]);
}

#[tokio::test]
async fn files_that_need_what_is_not_there_are_left_out() {
    let report = runner().play("t", "{needs: [generator], steps: [{path: /x}]}").await;
    assert_eq!(report.left_out, ["t needs generator"]);
}

#[tokio::test]
async fn artifacts_are_sent_and_compared() {
    let text = "
vars: {v: x y}
artifacts:
  a: {name: '${v}', compress: none, kind: k, files: {b: one, a: two}, meta: {m: 1}, signed: true}
  old: {name: n, version: 1}
  cut: {name: n, break: {cut: 1}}
steps:
- {method: POST, path: /api/management/v1/useradm/auth/echo, content: '${artifact:a}',
   expect: {status: 200, content: {of: '${artifact:a}'}}}
- {method: POST, path: /api/management/v1/useradm/auth/echo, text: '${a.size}',
   expect: {status: 200, json: 20480}}
- {method: POST, path: /api/management/v1/useradm/auth/echo, text: version,
   expect: {status: 200, content: {of: '${artifact:a}', to: 7}}}
- {method: POST, path: /api/management/v1/useradm/auth/echo, content: '${artifact:old}',
   expect: {status: 200, body: any}}
- {method: POST, path: /api/management/v1/useradm/auth/echo,
   multipart: [{name: n, filename: f, value: '${artifact:a}'}], expect: {status: 200, text:
   '$re name=\"n\"; filename=\"f\"\\s+version.*c2lnbmF0dXJl.*x y.*one.*two'}}
";
    let report = runner().play("t", text).await;
    let text = "left out: t: damaged artifacts old, cut\n4 passed, 0 failed, 1 skipped";
    assert_eq!(report.to_string(), text);
}
