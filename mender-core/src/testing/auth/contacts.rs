#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use tokio::task::JoinSet;

use crate::{
    auth::Seen,
    ctx::Actor,
    env::Time,
    event::Event,
    id::{DeviceId, TenantId, Version},
    testing::{
        contract::{Harness, claims},
        fixtures::{ODD_IDS, TASKS, at, device, id, other_tenant, seen, tenant},
    },
};

claims!["auth":
    only_devices_that_were_in_contact_are_seen,
    a_contact_never_goes_back,
    a_contact_never_goes_back_under_contention,
    contacts_keep_the_exact_time,
    events_of_contacts_are_appended_with_them,
    a_contact_of_an_unknown_device_is_no_error,
    contacts_are_forgotten_and_recorded_again,
    many_contacts_are_recorded_at_once,
    contacts_of_other_tenants_are_not_seen,
];

async fn record(h: &Harness, contacts: &[Seen]) {
    let recorded = h.stores.record_seen(contacts, &[], at(0)).await;
    recorded.unwrap();
}

async fn last(h: &Harness, t: &TenantId, name: &str) -> Option<Time> {
    let seen = h.stores.seen(t, &[id(name)]).await.unwrap();
    assert!(seen.len() <= 1 && seen.iter().all(|(device, _)| device.as_str() == name));
    seen.first().map(|(_, at)| *at)
}

async fn only_devices_that_were_in_contact_are_seen(h: &Harness) {
    let t = tenant();
    for name in ["a", "b", "c"] {
        h.insert_device(&t, &device(name)).await;
    }
    record(h, &[]).await;
    record(h, &[seen(&t, "a", 1), seen(&t, "c", 2)]).await;
    let asked: Vec<DeviceId> = ["a", "b", "c", "ghost"].map(id).to_vec();
    let mut found = h.stores.seen(&t, &asked).await.unwrap();
    found.sort();
    assert_eq!(found, [(id("a"), at(1)), (id("c"), at(2))]);
    assert_eq!(h.stores.seen(&t, &[]).await.unwrap(), []);
}

async fn a_contact_never_goes_back(h: &Harness) {
    let t = tenant();
    h.insert_device(&t, &device("a")).await;
    for (contact, expected) in [(5, 5), (3, 5), (5, 5), (9, 9), (-9, 9)] {
        record(h, &[seen(&t, "a", contact)]).await;
        assert_eq!(last(h, &t, "a").await, Some(at(expected)));
    }
    record(h, &[20, 30, 10].map(|n| seen(&t, "a", n))).await;
    assert_eq!(last(h, &t, "a").await, Some(at(30)));
}

async fn a_contact_never_goes_back_under_contention(h: &Harness) {
    let t = tenant();
    h.insert_device(&t, &device("a")).await;
    let mut tasks = JoinSet::new();
    for task in 0..i64::try_from(TASKS).unwrap() {
        let (h, t) = (h.clone(), t.clone());
        tasks.spawn(async move {
            for n in 0..10 {
                h.waver().await;
                let contact = n * 100 + task;
                record(&h, &[seen(&t, "a", contact)]).await;
                assert!(last(&h, &t, "a").await >= Some(at(contact)));
            }
        });
    }
    tasks.join_all().await;
    let latest = i64::try_from(TASKS).unwrap() - 1 + 900;
    assert_eq!(last(h, &t, "a").await, Some(at(latest)));
}

async fn contacts_keep_the_exact_time(h: &Harness) {
    let t = tenant();
    h.insert_device(&t, &device("a")).await;
    for time in [-62_135_596_799_999, -1, 0, 1, 1_767_268_800_001] {
        let contact = Seen { at: Time(time), ..seen(&t, "a", 0) };
        record(h, &[contact]).await;
        assert_eq!(last(h, &t, "a").await, Some(Time(time)));
    }
}

fn event(h: &Harness, contact: &Seen) -> Event {
    Event {
        id: id(&h.time.env().uuid()),
        tenant: contact.tenant.clone(),
        aggregate: "auth.seen".into(),
        key: contact.device.to_string(),
        version: Version(contact.at.0),
        kind: "device.seen".into(),
        v: 1,
        at: contact.at,
        actor: Actor::Device(contact.device.clone()),
        trace: String::new(),
        payload: serde_json::json!({ "device": contact.device, "at": contact.at }),
    }
}

async fn events_of_contacts_are_appended_with_them(h: &Harness) {
    let t = tenant();
    let mut contacts = Vec::new();
    for name in ["a", "b", "c"] {
        h.insert_device(&t, &device(name)).await;
        contacts.push(seen(&t, name, 1));
    }
    let events: Vec<Event> = contacts[1..].iter().map(|c| event(h, c)).collect();
    let lease_until = at(60_000);
    let recorded = h.stores.record_seen(&contacts, &events, lease_until).await;
    recorded.unwrap();
    assert_eq!(h.stores.unsettled_events().await.unwrap(), 2);
    let early = h.stores.claim_events(at(59_999), at(90_000), 10).await;
    assert_eq!(early.unwrap(), []);
    let claimed = h.stores.claim_events(lease_until, at(90_000), 10).await;
    let mut claimed = claimed.unwrap();
    claimed.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(claimed, events);
}

async fn a_contact_of_an_unknown_device_is_no_error(h: &Harness) {
    let t = tenant();
    h.insert_device(&t, &device("a")).await;
    record(h, &[seen(&t, "ghost", 1), seen(&t, "a", 1)]).await;
    assert_eq!(last(h, &t, "a").await, Some(at(1)));
}

async fn contacts_are_forgotten_and_recorded_again(h: &Harness) {
    let t = tenant();
    h.insert_device(&t, &device("a")).await;
    h.stores.forget_seen(&t, &id("a")).await.unwrap();
    for n in [9, 5] {
        record(h, &[seen(&t, "a", n)]).await;
        assert_eq!(last(h, &t, "a").await, Some(at(n)));
        h.stores.forget_seen(&t, &id("a")).await.unwrap();
        assert_eq!(last(h, &t, "a").await, None);
    }
    h.stores.forget_seen(&t, &id("a")).await.unwrap();
}

async fn many_contacts_are_recorded_at_once(h: &Harness) {
    let t = tenant();
    let mut names: Vec<String> = (0..500).map(|n| format!("d{n}")).collect();
    names.extend(ODD_IDS.map(Into::into));
    for name in &names {
        h.insert_device(&t, &device(name)).await;
    }
    for round in 1..3 {
        let contacts: Vec<Seen> = names.iter().map(|name| seen(&t, name, round)).collect();
        record(h, &contacts).await;
        let ids: Vec<DeviceId> = names.iter().map(|name| id(name)).collect();
        let found = h.stores.seen(&t, &ids).await.unwrap();
        assert_eq!(found.len(), names.len());
        assert!(found.iter().all(|(_, time)| *time == at(round)));
    }
}

async fn contacts_of_other_tenants_are_not_seen(h: &Harness) {
    let (one, two) = (tenant(), other_tenant());
    for t in [&one, &two] {
        h.insert_device(t, &device("a")).await;
    }
    record(h, &[seen(&one, "a", 5)]).await;
    assert_eq!(last(h, &two, "a").await, None);
    record(h, &[seen(&two, "a", 3), seen(&one, "a", 7)]).await;
    assert_eq!(last(h, &two, "a").await, Some(at(3)));
    h.stores.forget_seen(&two, &id("a")).await.unwrap();
    assert_eq!(last(h, &two, "a").await, None);
    assert_eq!(last(h, &one, "a").await, Some(at(7)));
}
