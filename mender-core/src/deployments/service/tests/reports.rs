//! Reports of what deployments did on devices, and explained logs.

use std::{collections::BTreeSet, sync::Mutex};

use super::*;
use crate::{
    deployments::{Adviser, Message, Stage},
    id::TenantId,
    inventory::{Op, Operand, Value},
    search::{Condition, Field, RecordSearch},
};

impl World {
    async fn records(&self, wanted: &RecordSearch, page: PageRequest) -> (Vec<String>, u64) {
        let found = self.mender.search().records(&self.ctx, wanted, page).await.unwrap();
        (found.records.into_iter().map(|found| found.device.row.record).collect(), found.total)
    }
}

fn condition(field: Field, value: &str) -> Condition {
    let operand = Operand::Value(Value::Text(value.into()));
    Condition::new(Some(field), Op::Eq, operand).unwrap()
}

fn page(number: u32, size: u32) -> PageRequest {
    PageRequest { number, size }
}

#[tokio::test]
async fn every_record_is_on_one_page_of_a_report() {
    let w = World::new().await;
    // More deployments, and more devices of one, than are read at once.
    let large = w.create(&w.ctx, "large", devices(600)).await.unwrap();
    for n in 0..600 {
        assert_eq!(w.told(n).await.as_ref(), Some(&large));
    }
    w.service().abort(&w.ctx, &large).await.unwrap();
    for n in 0..120 {
        let id = w.create(&w.ctx, &format!("small {n}"), vec![device(n)]).await.unwrap();
        assert_eq!(w.told(n).await.as_ref(), Some(&id));
        w.report(&id, n, Status::Failure).await.unwrap();
    }
    for sort in [vec![], vec![(Field::DeviceStatus, true), (Field::DeploymentName, false)]] {
        let wanted = RecordSearch { sort, ..RecordSearch::default() };
        let mut seen = BTreeSet::new();
        for number in 1..=8 {
            let (records, total) = w.records(&wanted, page(number, 100)).await;
            assert_eq!(total, 720);
            seen.extend(records);
        }
        assert_eq!(seen.len(), 720);
    }
    let of_one = |devices| RecordSearch { devices: Some(devices), ..RecordSearch::default() };
    let (by_device, total) = w.records(&of_one(vec![device(7)]), page(1, 20)).await;
    assert_eq!((by_device.len(), total), (2, 2));
    let by_condition = RecordSearch {
        conditions: vec![condition(Field::DeviceId, device(7).as_str())],
        ..RecordSearch::default()
    };
    assert_eq!(w.records(&by_condition, page(1, 20)).await, (by_device, 2));
}

#[tokio::test]
async fn who_has_not_asked_has_no_record() {
    let w = World::new().await;
    let id = w.create(&w.ctx, "d", devices(3)).await.unwrap();
    w.told(1).await;
    w.service().abort(&w.ctx, &id).await.unwrap();
    let all = RecordSearch::default();
    let found = w.mender.search().records(&w.ctx, &all, page(1, 20)).await.unwrap();
    let [record] = &found.records[..] else { panic!("{:?}", found.records) };
    assert_eq!((record.device.row.stage, &record.device.row.device), (Stage::Record, &device(1)));
    assert_eq!(record.value(Field::DeviceStatus), Some(Value::Text("aborted".into())));
}

/// Notes what it is shown.
#[derive(Default)]
struct Reader {
    shown: Mutex<Vec<String>>,
    refuses: bool,
}

#[async_trait::async_trait]
impl Adviser for std::sync::Arc<Reader> {
    async fn is_allowed(&self, _: &TenantId) -> Result<bool> {
        Ok(!self.refuses)
    }

    async fn advise(&self, _: &TenantId, log: &str) -> Result<String> {
        self.shown.lock().unwrap().push(log.into());
        Ok("out of space".into())
    }
}

async fn failed(set_up: impl FnOnce(Builder) -> Builder) -> (World, DeploymentId) {
    let w = World::built(1, set_up).await;
    let id = w.create(&w.ctx, "d", devices(1)).await.unwrap();
    w.told(0).await;
    w.report(&id, 0, Status::Failure).await.unwrap();
    let line = Message {
        timestamp: "2016-03-11T13:03:17Z".into(),
        level: "error".into(),
        message: "psk=abc".into(),
    };
    w.service().put_log(&w.ctx, &id, &device(0), vec![line]).await.unwrap();
    (w, id)
}

#[tokio::test]
async fn an_adviser_is_shown_logs_without_secrets() {
    let reader = std::sync::Arc::new(Reader::default());
    let (w, id) = failed(|builder| builder.log_adviser(reader.clone())).await;
    let explained = w.service().explain_log(&w.ctx, &id, &device(0)).await.unwrap();
    assert_eq!(explained, "out of space");
    let shown = reader.shown.lock().unwrap().clone();
    assert_eq!(shown, ["2016-03-11 13:03:17 +0000 UTC error: psk=<secret>\n"]);
}

#[tokio::test]
async fn logs_are_shown_to_no_adviser_without_consent() {
    let reader = std::sync::Arc::new(Reader { refuses: true, ..Reader::default() });
    let (w, id) = failed(|builder| builder.log_adviser(reader.clone())).await;
    let explained = w.service().explain_log(&w.ctx, &id, &device(0)).await;
    assert_eq!(refusal(explained).0, Kind::Forbidden);
    assert!(reader.shown.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_report_has_bounds() {
    let w = World::new().await;
    let many = vec![condition(Field::DeviceStatus, "failure"); 101];
    let keys = vec![(Field::DeviceStatus, false); 31];
    for (wanted, page) in [
        (RecordSearch { conditions: many, ..RecordSearch::default() }, page(1, 20)),
        (RecordSearch { sort: keys, ..RecordSearch::default() }, page(1, 20)),
        (RecordSearch::default(), page(501, 20)),
    ] {
        let refused = w.mender.search().records(&w.ctx, &wanted, page).await;
        assert!(matches!(refused.unwrap_err().kind, Kind::Invalid { .. }));
    }
}
