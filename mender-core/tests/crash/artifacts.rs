use mender_core::{
    Commit, Event, Result, Stamped,
    artifacts::{
        Artifact, ArtifactId, DeltaJob, DeltaQuery, DeltaStatus, Release, Store as _, Tag,
        format::{Content, Depend, File, Payload},
        logic,
    },
    commit::Aggregate as _,
    ctx::Actor,
    error::Kind,
    testing::release_queries::{random_artifact, random_manifest},
};

use crate::crash::harness::{World, answer_or, use_cases};

fn id(name: &str) -> ArtifactId {
    name.parse().unwrap()
}

/// Adds an artifact whose bytes nobody put anywhere; tells of it.
pub(crate) async fn add(w: &World, of: &str, name: &str, change: impl Fn(&mut Content)) {
    let mut new = random_artifact(w.mender.env(), name, of);
    change(&mut new.content);
    store(w, of, new, name).await;
}

async fn store(w: &World, of: &str, mut new: Artifact, name: &str) {
    let env = w.mender.env();
    let was = release(w, of).await;
    // Everything fits another device.
    new.content.depends.insert("n".into(), Depend::One(name.into()));
    let Commit { change, charges, events, invalidates } = logic::add(was, new, env.now()).unwrap();
    let version = change.aggregate().unwrap().version();
    let event = |event: mender_core::event::NewEvent| Event {
        id: env.uuid().parse().unwrap(),
        tenant: w.ctx.tenant.clone(),
        aggregate: Release::KIND.into(),
        key: of.into(),
        version,
        kind: event.kind,
        v: event.v,
        at: env.now(),
        actor: Actor::System,
        trace: String::new(),
        payload: event.payload,
    };
    let events = events.into_iter().map(event).collect();
    let (id, at, lease_until) = (env.uuid(), env.now(), env.now());
    let stamped = Stamped { id, change, charges, events, lease_until, invalidates, at };
    w.stores.commit_release(&w.ctx.tenant, stamped).await.unwrap();
}

async fn release(w: &World, name: &str) -> Option<Release> {
    w.stores.release(&w.ctx.tenant, name).await.unwrap()
}

async fn stored(w: &World) {
    for (of, name) in [("one", "a1"), ("one", "a2"), ("two", "a3")] {
        add(w, of, name, |_| {}).await;
    }
}

async fn manifests(w: &World) {
    stored(w).await;
    let new = random_manifest(w.mender.env(), "m1", "system");
    store(w, "system", new, "m1").await;
}

/// Images for the same devices, whose bytes nobody put anywhere.
async fn images(w: &World) {
    for (of, name) in [("one", "a1"), ("two", "a2")] {
        let mut new = random_artifact(w.mender.env(), name, of);
        let file = File { name: "i".into(), checksum: String::new(), size: 1, modified: 0 };
        let kind = Some("rootfs-image".to_owned());
        new.content.payloads = vec![Payload { kind, files: vec![file], ..Payload::default() }];
        new.content.provides.insert("rootfs-image.checksum".into(), name.into());
        new.content.device_types = vec!["pump".into()];
        store(w, of, new, name).await;
    }
}

async fn jobs(w: &World) -> Vec<DeltaJob> {
    w.stores.delta_jobs(&w.ctx.tenant, &DeltaQuery::default(), 0, 10).await.unwrap()
}

async fn make_delta(w: &World) -> Result<()> {
    w.mender.artifacts().make_delta(&w.ctx, ("one", "two"), None).await.map(drop)
}

async fn delete(w: &World, name: &str) -> Result<()> {
    answer_or(w.mender.artifacts().delete_artifact(&w.ctx, &id(name)).await, Kind::NotFound)
}

async fn delete_manifests(w: &World) -> Result<()> {
    let names = ["system", "ghost", "one"].map(str::to_owned);
    let used = w.mender.artifacts().delete_manifests(&w.ctx, &names).await?;
    assert_eq!(used, [""; 0]);
    Ok(())
}

async fn delete_releases(w: &World) -> Result<()> {
    let names = ["one", "ghost", "two"].map(str::to_owned);
    let used = w.mender.artifacts().delete_releases(&w.ctx, &names).await?;
    assert_eq!(used, [""; 0]);
    Ok(())
}

use_cases! {
    describing_an_artifact:
        given stored,
        when async |w| w.mender.artifacts().describe(&w.ctx, &id("a1"), "new").await,
        then async |w| {
            let release = release(w, "one").await.unwrap();
            assert_eq!(release.artifact(&id("a1")).unwrap().description.as_deref(), Some("new"));
        };
    tagging_a_release:
        given stored,
        when async |w| {
            let tags = [Tag::new("a").unwrap()];
            w.mender.artifacts().tag(&w.ctx, "one", &tags).await
        },
        then async |w| assert_eq!(release(w, "one").await.unwrap().tags.len(), 1);
    noting_something_about_a_release:
        given stored,
        when async |w| w.mender.artifacts().note(&w.ctx, "one", "noted").await,
        then async |w| assert_eq!(release(w, "one").await.unwrap().notes, "noted");
    deleting_an_artifact:
        given stored,
        when async |w| delete(w, "a1").await,
        then async |w| {
            let release = release(w, "one").await.unwrap();
            assert_eq!((release.artifacts.len(), release.leaving), (1, None));
        };
    deleting_the_last_artifact_of_a_release:
        given stored,
        when async |w| delete(w, "a3").await,
        then async |w| assert_eq!(release(w, "two").await, None);
    asking_for_a_delta:
        given images,
        when async |w| make_delta(w).await,
        then async |w| {
            // There is no place for bytes here: it tries until its time is up.
            let states: Vec<_> = jobs(w).await.iter().map(|job| job.status).collect();
            assert!(matches!(*states, [DeltaStatus::Pending | DeltaStatus::Failed]), "{states:?}");
        };
    deleting_what_a_delta_is_asked_for:
        given async |w| {
            images(w).await;
            make_delta(w).await.unwrap();
        },
        when async |w| delete(w, "a2").await,
        then async |w| {
            assert_eq!(release(w, "two").await, None);
            assert_eq!(jobs(w).await, []);
        };
    changing_a_manifest:
        given manifests,
        when async |w| {
            let tags = [Tag::new("a").unwrap()];
            let artifacts = w.mender.artifacts();
            artifacts.annotate_manifest(&w.ctx, "system", Some("noted"), Some(&tags)).await
        },
        then async |w| {
            let manifest = release(w, "system").await.unwrap();
            assert_eq!((manifest.notes.as_str(), manifest.tags.len()), ("noted", 1));
        };
    deleting_manifests:
        given manifests,
        when async |w| delete_manifests(w).await,
        then async |w| {
            assert_eq!(release(w, "system").await, None);
            assert_eq!(release(w, "one").await.unwrap().leaving, None);
        };
    deleting_releases:
        given stored,
        when async |w| delete_releases(w).await,
        then async |w| {
            assert_eq!(release(w, "one").await, None);
            assert_eq!(release(w, "two").await, None);
        };
}
