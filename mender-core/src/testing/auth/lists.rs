#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use crate::{
    auth::{Device, DeviceFilter, Status},
    commit::Commit,
    id::TenantId,
    testing::{
        contract::{Harness, claims},
        fixtures::{ODD_IDS, device, device_with, id, other_tenant, tenant},
    },
};

claims!["auth":
    devices_come_by_the_name_of_their_status_then_by_id,
    pages_follow_each_other,
    filters_restrict_to_any_of_their_values_and_combine,
    an_empty_list_of_ids_or_groups_is_nothing,
    a_device_without_a_group_is_in_none,
    lists_follow_changes_and_deletions,
    counts_agree_with_lists,
    a_walk_visits_every_device_by_id,
    lists_show_one_tenant,
];

async fn list(h: &Harness, t: &TenantId, filter: &DeviceFilter) -> Vec<String> {
    let devices = h.stores.devices(t, filter, 0, 1000).await.unwrap();
    let count = h.stores.count_devices(t, filter).await.unwrap();
    assert_eq!(count, devices.len() as u64);
    ids(&devices)
}

fn ids(devices: &[Device]) -> Vec<String> {
    devices.iter().map(|device| device.id.to_string()).collect()
}

fn filter() -> DeviceFilter {
    DeviceFilter::default()
}

/// Ten devices: each status once in a group and once in none, with ids against the order.
async fn fill(h: &Harness, t: &TenantId) -> Vec<Device> {
    let mut all = Vec::new();
    for (n, status) in Status::ALL.into_iter().enumerate() {
        let group = if n % 2 == 0 { "even" } else { "odd" };
        all.push(device_with(&format!("{}-b", 9 - n), status, Some(group)));
        all.push(device_with(&format!("{}-a", 9 - n), status, None));
    }
    for device in &all {
        h.insert_device(t, device).await;
    }
    all.sort_by(|a, b| (a.status.as_str(), &a.id).cmp(&(b.status.as_str(), &b.id)));
    all
}

async fn devices_come_by_the_name_of_their_status_then_by_id(h: &Harness) {
    let t = tenant();
    let mut expected = Vec::new();
    for status in [Status::Rejected, Status::Accepted] {
        for name in ODD_IDS.into_iter().rev() {
            let mut odd = device_with(name, status, None);
            odd.id = id(&format!("{name}{}", status.as_str()));
            odd.identity = crate::testing::fixtures::identity(&odd.id);
            odd.sets[0].id = id(odd.id.as_str());
            h.insert_device(&t, &odd).await;
            expected.push(odd);
        }
    }
    let extra = fill(h, &t).await;
    expected.extend(extra);
    expected.sort_by(|a, b| (a.status.as_str(), &a.id).cmp(&(b.status.as_str(), &b.id)));
    let listed = h.stores.devices(&t, &filter(), 0, 1000).await.unwrap();
    assert_eq!(ids(&listed), ids(&expected));
    assert_eq!(listed, expected);
}

async fn pages_follow_each_other(h: &Harness) {
    let t = tenant();
    let all = fill(h, &t).await;
    let some = DeviceFilter { groups: Some(vec!["even".into(), "odd".into()]), ..filter() };
    let grouped: Vec<Device> = all.iter().filter(|d| d.group.is_some()).cloned().collect();
    for (filter, expected) in [(filter(), &all), (some, &grouped)] {
        for limit in [1, 3, 10, 1000] {
            let mut pages = Vec::new();
            for page in 0.. {
                let skip = page * limit as u64;
                let devices = h.stores.devices(&t, &filter, skip, limit).await.unwrap();
                assert!(devices.len() <= limit);
                if devices.is_empty() {
                    break;
                }
                pages.extend(devices);
            }
            assert_eq!(ids(&pages), ids(expected), "{limit} a page");
        }
        let beyond = h.stores.devices(&t, &filter, 1 << 40, 5).await.unwrap();
        assert_eq!(beyond, []);
        assert_eq!(h.stores.devices(&t, &filter, 0, 0).await.unwrap(), []);
    }
}

async fn filters_restrict_to_any_of_their_values_and_combine(h: &Harness) {
    let t = tenant();
    let all = fill(h, &t).await;
    let id_choices: [Option<Vec<&str>>; 4] = [
        None,
        Some(vec!["9-a"]),
        Some(vec!["8-b", "9-b", "9-a", "9-b", "ghost"]),
        Some(all.iter().map(|d| d.id.as_str()).collect()),
    ];
    let group_choices: [Option<Vec<&str>>; 4] = [
        None,
        Some(vec!["even"]),
        Some(vec!["even", "odd", "even"]),
        Some(vec!["ghost", "eve", "even%"]),
    ];
    let status_choices = [
        vec![],
        vec![Status::Pending],
        vec![Status::Rejected, Status::Accepted, Status::Accepted],
        Status::ALL.to_vec(),
    ];
    for ids_ in &id_choices {
        for groups in &group_choices {
            for statuses in &status_choices {
                let filter = DeviceFilter {
                    statuses: statuses.clone(),
                    ids: ids_.as_ref().map(|ids| ids.iter().map(|i| id(i)).collect()),
                    groups: groups
                        .as_ref()
                        .map(|groups| groups.iter().map(|g| (*g).into()).collect()),
                };
                let fits = |d: &&Device| {
                    let group = |g: &Vec<&str>| d.group.as_deref().is_some_and(|d| g.contains(&d));
                    (statuses.is_empty() || statuses.contains(&d.status))
                        && ids_.as_ref().is_none_or(|i| i.contains(&d.id.as_str()))
                        && groups.as_ref().is_none_or(group)
                };
                let expected: Vec<Device> = all.iter().filter(fits).cloned().collect();
                assert_eq!(list(h, &t, &filter).await, ids(&expected), "{filter:?}");
            }
        }
    }
}

async fn an_empty_list_of_ids_or_groups_is_nothing(h: &Harness) {
    let t = tenant();
    fill(h, &t).await;
    for (no_ids, no_groups) in [(true, false), (false, true), (true, true)] {
        let filter = DeviceFilter {
            statuses: Status::ALL.to_vec(),
            ids: no_ids.then(Vec::new),
            groups: no_groups.then(Vec::new),
        };
        assert_eq!(list(h, &t, &filter).await, [""; 0]);
    }
}

async fn a_device_without_a_group_is_in_none(h: &Harness) {
    let t = tenant();
    h.insert_device(&t, &device("d")).await;
    let filter = DeviceFilter { groups: Some(vec![String::new()]), ..filter() };
    assert_eq!(list(h, &t, &filter).await, [""; 0]);
}

async fn lists_follow_changes_and_deletions(h: &Harness) {
    let t = tenant();
    let was = device_with("d", Status::Pending, Some("old"));
    h.insert_device(&t, &was).await;
    let mut to = was.clone();
    (to.status, to.group) = (Status::Accepted, Some("new".into()));
    let change = Commit::update(was, to);
    h.commit_device(&t, change.clone()).await.unwrap();
    let of = |status, group: &str| DeviceFilter {
        statuses: vec![status],
        groups: Some(vec![group.into()]),
        ..filter()
    };
    assert_eq!(list(h, &t, &of(Status::Accepted, "new")).await, ["d"]);
    assert_eq!(list(h, &t, &of(Status::Accepted, "old")).await, [""; 0]);
    assert_eq!(list(h, &t, &of(Status::Pending, "new")).await, [""; 0]);
    let gone = Commit::delete(change.aggregate().cloned().unwrap());
    h.commit_device(&t, gone).await.unwrap();
    assert_eq!(list(h, &t, &filter()).await, [""; 0]);
}

async fn counts_agree_with_lists(h: &Harness) {
    let t = tenant();
    assert_eq!(list(h, &t, &filter()).await.len(), 0);
    fill(h, &t).await;
    assert_eq!(list(h, &t, &filter()).await.len(), 10);
    for status in Status::ALL {
        let filter = DeviceFilter { statuses: vec![status], ..filter() };
        assert_eq!(list(h, &t, &filter).await.len(), 2);
    }
}

async fn a_walk_visits_every_device_by_id(h: &Harness) {
    let t = tenant();
    let mut expected: Vec<String> = ids(&fill(h, &t).await);
    for name in ODD_IDS {
        h.insert_device(&t, &device(name)).await;
        expected.push(name.into());
    }
    expected.sort();
    for limit in [1, 4, 1000] {
        let mut visited: Vec<Device> = Vec::new();
        loop {
            let after = visited.last().map(|device| device.id.clone());
            let chunk = h.stores.walk_devices(&t, after.as_ref(), limit).await;
            let chunk = chunk.unwrap();
            assert!(chunk.len() <= limit);
            if chunk.is_empty() {
                break;
            }
            visited.extend(chunk);
        }
        assert_eq!(ids(&visited), expected);
    }
    let after_none = h.stores.walk_devices(&t, Some(&id("5-c")), 1).await;
    assert_eq!(ids(&after_none.unwrap()), ["6-a"]);
}

async fn lists_show_one_tenant(h: &Harness) {
    let (one, two) = (tenant(), other_tenant());
    fill(h, &one).await;
    let theirs = device_with("9-a", Status::Accepted, Some("even"));
    h.insert_device(&two, &theirs).await;
    let all = DeviceFilter {
        statuses: vec![Status::Accepted],
        ids: Some(vec![id("9-a"), id("9-b")]),
        groups: Some(vec!["even".into()]),
    };
    for filter in [filter(), all] {
        assert_eq!(list(h, &two, &filter).await, ["9-a"]);
        assert_eq!(list(h, &TenantId::default(), &filter).await, [""; 0]);
    }
    let walked = h.stores.walk_devices(&two, None, 100).await.unwrap();
    assert_eq!(walked, [theirs]);
}
