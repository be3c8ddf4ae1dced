use std::collections::BTreeMap;

use mender_core::{
    auth::{AcceptRule, Limit, Status},
    error::Kind,
    quota::Quotas as _,
    testing::TestDevice,
};

use crate::crash::harness::{World, answer_or, refused_is_fine, use_cases};

fn device() -> TestDevice {
    TestDevice::new(r#"{"mac":"1"}"#, 1)
}

/// The same device with a new key.
fn rotated() -> TestDevice {
    TestDevice::new(r#"{"mac":"1"}"#, 2)
}

async fn nothing(_: &World) {}

async fn pending(w: &World) {
    w.ask(&device()).await.unwrap();
}

async fn accepted(w: &World) {
    w.accepted(&device()).await;
}

async fn working(w: &World) {
    accepted(w).await;
    w.token(&device()).await.unwrap();
}

async fn preauthorized(w: &World) {
    let what = device().preauthorization(false);
    w.mender.auth().preauthorize(&w.ctx, &what).await.unwrap();
}

async fn expect(w: &World, status: Option<Status>) {
    assert_eq!(w.status(&device()).await, status);
}

/// The accepted device gets a token that is valid.
async fn expect_working(w: &World) {
    expect(w, Some(Status::Accepted)).await;
    let token = w.token(&device()).await.unwrap();
    w.mender.auth().verify(&token, "").await.unwrap();
}

async fn set_rules(w: &World) {
    let identity = BTreeMap::from([("mac".into(), "*".into())]);
    let rule = AcceptRule { name: "all".into(), identity };
    let auth = w.mender.auth();
    auth.set_accept_rules(&w.ctx, &[rule]).await.unwrap();
}

use_cases! {
    a_new_device:
        given nothing,
        when async |w| w.ask(&device()).await,
        then async |w| expect(w, Some(Status::Pending)).await;
    accepting_a_device:
        given pending,
        when async |w| w.decide(&device(), Status::Accepted).await,
        then expect_working;
    issuing_a_token:
        given accepted,
        when async |w| w.token(&device()).await.map(|_| ()),
        then expect_working;
    accepting_a_new_key:
        given async |w| {
            working(w).await;
            w.ask(&rotated()).await.unwrap();
        },
        when async |w| {
            w.decide(&rotated(), Status::Accepted).await?;
            w.token(&rotated()).await.map(|_| ())
        },
        then async |w| {
            expect(w, Some(Status::Accepted)).await;
            assert!(w.token(&device()).await.is_err());
        };
    presenting_a_new_key:
        given working,
        when async |w| w.ask(&rotated()).await,
        then async |w| {
            expect_working(w).await;
            assert_eq!(w.find(&device()).await.unwrap().sets.len(), 2);
        };
    preauthorizing_a_device:
        given nothing,
        when async |w| {
            let what = device().preauthorization(false);
            let answer = w.mender.auth().preauthorize(&w.ctx, &what).await;
            answer_or(answer.map(|_| ()), Kind::Conflict)
        },
        then async |w| expect(w, Some(Status::Preauthorized)).await;
    a_preauthorized_device_comes:
        given preauthorized,
        when async |w| w.token(&device()).await.map(|_| ()),
        then expect_working;
    forcing_a_preauthorization:
        given async |w| {
            w.ask(&rotated()).await.unwrap();
        },
        when async |w| {
            let what = device().preauthorization(true);
            w.mender.auth().preauthorize(&w.ctx, &what).await.map(|_| ())
        },
        then async |w| {
            assert_eq!(w.find(&device()).await.unwrap().sets.len(), 2);
            expect_working_at_last(w).await;
        };
    rejecting_a_device:
        given working,
        when async |w| w.decide(&device(), Status::Rejected).await,
        then async |w| expect(w, Some(Status::Rejected)).await;
    deleting_a_set:
        given working,
        when async |w| {
            let Some(found) = w.find(&device()).await.filter(|d| !d.sets.is_empty()) else {
                return Ok(());
            };
            w.mender.auth().delete_set(&w.ctx, &found.id, &found.sets[0].id).await
        },
        then async |w| expect(w, Some(Status::Noauth)).await;
    deleting_the_set_of_a_preauthorized_device:
        given preauthorized,
        when async |w| {
            let Some(found) = w.find(&device()).await else {
                return Ok(());
            };
            w.mender.auth().delete_set(&w.ctx, &found.id, &found.sets[0].id).await
        },
        then async |w| expect(w, None).await;
    decommissioning_a_device:
        given working,
        when async |w| {
            let Some(found) = w.find(&device()).await else {
                return Ok(());
            };
            w.mender.auth().decommission(&w.ctx, &found.id).await
        },
        then async |w| expect(w, None).await;
    revoking_a_token:
        given working,
        when async |w| {
            let set = w.set(&device()).await;
            let answer = w.mender.auth().revoke_token(&w.ctx, &set).await;
            answer_or(answer, Kind::NotFound)
        },
        then async |w| {
            let found = w.find(&device()).await.unwrap();
            assert!(!found.sets[0].live && found.sets[0].from > 0);
            expect_working(w).await;
        };
    revoking_every_token_of_the_tenant:
        given working,
        when async |w| w.mender.auth().revoke_tenant_tokens(&w.ctx).await,
        then async |w| {
            assert!(w.mender.auth().limits(&w.ctx).await.unwrap().from > 0);
            expect_working(w).await;
        };
    setting_limits:
        given accepted,
        when async |w| {
            let limits = [(Limit::Devices, Some(1)), (Limit::MicroDevices, Some(7))];
            w.mender.auth().set_limits(&w.ctx, &limits).await
        },
        then async |w| {
            let quota = w.stores.quota(&w.ctx.tenant, "max_devices").await.unwrap();
            assert_eq!((quota.free, quota.used), (0, 1));
        };
    accepting_the_last_device_that_fits:
        given async |w| {
            let limits = [(Limit::Devices, Some(1))];
            w.mender.auth().set_limits(&w.ctx, &limits).await.unwrap();
            pending(w).await;
            w.ask(&TestDevice::new(r#"{"mac":"2"}"#, 3)).await.unwrap();
        },
        when async |w| w.decide(&device(), Status::Accepted).await,
        then async |w| {
            expect_working(w).await;
            let next = TestDevice::new(r#"{"mac":"2"}"#, 3);
            let refused = w.decide(&next, Status::Accepted).await.unwrap_err();
            assert_eq!(refused.kind, Kind::LimitReached);
        };
    flagging_a_test_device:
        given accepted,
        when async |w| {
            let found = w.find(&device()).await.unwrap();
            w.mender.auth().flag(&w.ctx, &found.id, true).await
        },
        then async |w| assert!(w.find(&device()).await.unwrap().test);
    a_rule_accepts_a_new_device:
        given set_rules,
        when async |w| w.token(&device()).await.map(|_| ()),
        then expect_working;
    a_rule_without_room_leaves_a_device_pending:
        given async |w| {
            set_rules(w).await;
            let limits = [(Limit::Devices, Some(0))];
            w.mender.auth().set_limits(&w.ctx, &limits).await.unwrap();
        },
        when async |w| refused_is_fine(w.token(&device()).await.map(|_| ())),
        then async |w| expect(w, Some(Status::Pending)).await;
    vouching_for_a_device:
        given async |w| w.accepted(&rotated()).await,
        when async |w| {
            let request = device().request();
            w.mender.auth().auto_authenticate(&w.ctx, &request).await.map(|_| ())
        },
        then expect_working;
}

async fn expect_working_at_last(w: &World) {
    w.token(&device()).await.unwrap();
    expect_working(w).await;
}
