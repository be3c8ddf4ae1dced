use mender_core::{
    Commit, Event, Result, Stamped,
    artifacts::{ArtifactId, Release, Store as _, Tag, logic},
    commit::Aggregate as _,
    ctx::Actor,
    error::Kind,
    testing::release_queries::random_artifact,
};

use crate::crash::harness::{World, answer_or, use_cases};

fn id(name: &str) -> ArtifactId {
    name.parse().unwrap()
}

/// Adds an artifact whose bytes nobody put anywhere; tells of it.
async fn add(w: &World, of: &str, name: &str) {
    let env = w.mender.env();
    let was = release(w, of).await;
    let mut new = random_artifact(env, name, of);
    // Everything fits another device.
    new.content
        .depends
        .insert("n".into(), mender_core::artifacts::format::Depend::One(name.into()));
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
        add(w, of, name).await;
    }
}

async fn delete(w: &World, name: &str) -> Result<()> {
    answer_or(w.mender.artifacts().delete_artifact(&w.ctx, &id(name)).await, Kind::NotFound)
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
    deleting_releases:
        given stored,
        when async |w| delete_releases(w).await,
        then async |w| {
            assert_eq!(release(w, "one").await, None);
            assert_eq!(release(w, "two").await, None);
        };
}
