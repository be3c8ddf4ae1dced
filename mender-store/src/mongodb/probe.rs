//! The probe of a server: what the store relies on, tried once for each database.

use std::time::Duration;

use futures_util::future::try_join_all;
use mender_core::{
    Actor, Event, StoreError, StoreResult, TenantId, Time, Version,
    index::{Clause, Span},
    kit::{Doc, DocId, DocStore, Expect, Plan, Put, Write},
};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::Value;
use tokio::time::sleep;

use crate::mongodb::{claim::Find, docs::MongoDocs};

/// The collection of the probe.
pub(super) const PROBE: &str = "kit.probe";

/// The document that stands once a server passed; another number where more is relied upon.
const PASSED: &str = "passed/2";

/// Who changes one document at the same time, and how often each.
const WRITERS: u64 = 8;
const CHANGES: i64 = 20;

/// Refuses a server that lacks something.
pub(super) async fn check(docs: &MongoDocs) -> StoreResult<()> {
    if docs.get(&passed()).await?.is_some() {
        return Ok(());
    }
    let probe = Probe { docs, tenant: ObjectId::new().to_hex().parse().unwrap_or_default() };
    let answers = [
        ("unique indexes", probe.unique().await),
        ("sorted ranges of what arrays hold", probe.query().await),
        ("conditions on array elements, and counting them", probe.conditions().await),
        ("updates of array elements", probe.events().await),
        ("atomic updates of a document", probe.atomic().await),
    ];
    let mine = doc! { "t": probe.tenant.as_str() };
    docs.link.run(docs.link.kind(PROBE).delete_many(mine)).await?;
    let lacks = answers.into_iter().filter_map(|(what, answer)| match answer {
        Ok(true) => None,
        Ok(false) => Some(what.to_owned()),
        Err(error) => Some(format!("{what} ({error})")),
    });
    let lacks: Vec<String> = lacks.collect();
    if !lacks.is_empty() {
        let text = format!("the MongoDB server lacks: {}", lacks.join(", "));
        return Err(StoreError::unavailable(text));
    }
    remember(docs).await
}

/// Notes that the server of this database passed.
pub(super) async fn remember(docs: &MongoDocs) -> StoreResult<()> {
    match docs.write(&insert(new(passed(), 1))).await {
        // Another process probed it meanwhile.
        Err(StoreError::Conflict) => Ok(()),
        answer => answer,
    }
}

fn passed() -> DocId {
    DocId { kind: PROBE, tenant: TenantId::default(), id: PASSED.to_owned() }
}

struct Probe<'a> {
    docs: &'a MongoDocs,
    /// Serves this run alone.
    tenant: TenantId,
}

fn new(id: DocId, version: i64) -> Doc {
    Doc {
        unique: id.id.clone(),
        id,
        version: Version(version),
        body: String::new(),
        index: Vec::new(),
        orders: Vec::new(),
        sorts: Vec::new(),
    }
}

fn insert(doc: Doc) -> Write {
    Write {
        expect: Expect::Absent,
        put: Put::Doc(doc),
        events: Vec::new(),
        lease_until: Time(0),
        at: Time(0),
    }
}

impl Probe<'_> {
    fn id(&self, id: &str) -> DocId {
        DocId { kind: PROBE, tenant: self.tenant.clone(), id: id.to_owned() }
    }

    /// Tells whether a unique text is refused the second time, in inserts and in updates.
    async fn unique(&self) -> StoreResult<bool> {
        let same = |id: &str, unique: &str| {
            let mut doc = new(self.id(id), 1);
            doc.unique = unique.to_owned();
            doc
        };
        self.docs.write(&insert(same("a", "one"))).await?;
        let inserted = self.docs.write(&insert(same("b", "one"))).await;
        self.docs.write(&insert(same("b", "two"))).await?;
        let again = self.docs.write(&insert(same("b", "three"))).await;
        let mut change = insert(same("b", "one"));
        change.expect = Expect::At(Version(1));
        let changed = self.docs.write(&change).await;
        Ok(matches!(
            (inserted, again, changed),
            (
                Err(StoreError::Duplicate { .. }),
                Err(StoreError::Conflict),
                Err(StoreError::Duplicate { .. })
            )
        ))
    }

    /// Tells whether documents are found by what their arrays hold, in an order.
    async fn query(&self) -> StoreResult<bool> {
        for (id, place) in [("w", "4"), ("x", "3"), ("y", "1"), ("z", "2"), ("v", "3")] {
            let mut doc = new(self.id(id), 1);
            doc.index = vec!["all".into(), format!("only={id}")];
            doc.orders = vec![("probe", place.into())];
            self.docs.write(&insert(doc)).await?;
        }
        let each = ["v", "w", "x", "y", "z"].map(|id| format!("only={id}"));
        let mut plan = Plan::new(PROBE, &self.tenant).any(["all".into()]).any(each);
        plan.order = Some("probe");
        plan.after = Some("1".into());
        plan.until = Some("3".into());
        // With and without index texts: servers choose another index for each.
        for all in [plan.all.clone(), Vec::new()] {
            plan.all = all;
            let found = self.docs.scan(&plan).await?;
            let found: Vec<&str> = found.iter().map(|doc| doc.id.id.as_str()).collect();
            if found != ["z", "v", "x"] || self.docs.count(&plan).await? != 3 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells whether documents are found by ranges of what one element of an array is, and by
    /// what none is, and counted by element.
    async fn conditions(&self) -> StoreResult<bool> {
        let all = [("1", vec!["a", "e"], None), ("2", vec!["c"], Some("x")), ("3", vec![], None)];
        for (id, index, place) in all {
            let mut doc = new(self.id(&format!("conditions/{id}")), 1);
            doc.index = index.into_iter().map(str::to_owned).collect();
            doc.orders = vec![("conditions", id.into())];
            doc.sorts = place.into_iter().map(|p| ("+k".to_owned(), p.to_owned())).collect();
            self.docs.write(&insert(doc)).await?;
        }
        let range = || vec![Span::Within { from: "b".into(), to: "d".into() }];
        let either = Clause { some: vec![Span::At("a".into())], none: Some(range()) };
        let mut answers: Vec<String> = Vec::new();
        for clause in [Clause::some(range()), Clause::none(range()), either] {
            let mut plan = Plan::new(PROBE, &self.tenant);
            (plan.order, plan.all) = (Some("conditions"), vec![clause]);
            plan.sorts = vec![("+k".into(), true)];
            let found = self.docs.scan(&plan).await?;
            answers.push(found.iter().filter_map(|doc| doc.id.id.chars().last()).collect());
        }
        let counted = self.docs.tally(&Plan::new(PROBE, &self.tenant), &range()[0]).await?;
        let expected: [String; 3] = ["2".into(), "13".into(), "13".into()];
        Ok(answers == expected && counted == [("c".to_owned(), 1)])
    }

    /// Tells whether events are appended, leased and taken off.
    async fn events(&self) -> StoreResult<bool> {
        let mut write = insert(new(self.id("events"), 1));
        write.events = vec![self.event("1")?, self.event("2")?];
        self.docs.write(&write).await?;
        write.put = Put::Doc(new(self.id("events"), 2));
        write.expect = Expect::At(Version(1));
        write.events = vec![self.event("3")?];
        self.docs.write(&write).await?;
        let Some(doc) = self.docs.stored(&self.id("events")).await? else {
            return Ok(false);
        };
        let find = Find { kind: PROBE, doc, places: vec![1] };
        let taken = self.docs.take(&find, Time(1)).await?;
        let lost = self.docs.take(&find, Time(2)).await?;
        let pending = async || self.docs.pending(PROBE, &self.tenant, "events").await;
        let all = pending().await?;
        self.docs.settle(&all[..1.min(all.len())]).await?;
        let rest = pending().await?;
        self.docs.settle(&rest).await?;
        Ok(all.len() == 3
            && taken == all[1..2]
            && lost.is_empty()
            && rest == all[1..]
            && pending().await?.is_empty())
    }

    fn event(&self, id: &str) -> StoreResult<Event> {
        Ok(Event {
            id: id.parse().map_err(|e| StoreError::corrupt(PROBE, e))?,
            tenant: self.tenant.clone(),
            aggregate: PROBE.to_owned(),
            key: "events".to_owned(),
            version: Version(1),
            kind: PROBE.to_owned(),
            v: 1,
            at: Time(0),
            actor: Actor::System,
            trace: String::new(),
            payload: Value::Null,
        })
    }

    /// Tells whether no update is lost when many change one document.
    async fn atomic(&self) -> StoreResult<bool> {
        let id = self.id("atomic");
        let mut first = new(id.clone(), 1);
        first.body = "0".into();
        self.docs.write(&insert(first)).await?;
        try_join_all((0..WRITERS).map(|n| self.count_up(&id, n))).await?;
        let end = self.docs.get(&id).await?;
        let steps = WRITERS.cast_signed() * CHANGES;
        Ok(end
            .is_some_and(|doc| doc.version == Version(1 + steps) && doc.body == steps.to_string()))
    }

    async fn count_up(&self, id: &DocId, writer: u64) -> StoreResult<()> {
        let mut done = 0;
        while done < CHANGES {
            let Some(was) = self.docs.get(id).await? else {
                return Ok(());
            };
            let count: i64 = was.body.parse().unwrap_or_default();
            let mut to = new(id.clone(), was.version.0 + 1);
            to.body = (count + 1).to_string();
            let mut write = insert(to);
            write.expect = Expect::At(was.version);
            match self.docs.write(&write).await {
                Ok(()) => done += 1,
                // Why: all at once again would make each change cost many more attempts.
                Err(StoreError::Conflict) => sleep(Duration::from_millis(writer)).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
