//! What deployments use.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;
use crate::{artifacts::Usage, env::Time, id::TenantId};

/// Deployments as a test wants them: the open ones, and when the last one ended.
#[derive(Clone, Default)]
struct Deployments(Arc<Mutex<(Vec<String>, Option<Time>)>>);

impl Deployments {
    fn are(&self, open: &[&str], last_end: Option<Time>) {
        *self.0.lock().unwrap() = (open.iter().map(|id| (*id).to_owned()).collect(), last_end);
    }
}

#[async_trait]
impl Usage for Deployments {
    async fn open(&self, _: &TenantId, _: &[String]) -> Result<Vec<String>> {
        Ok(self.0.lock().unwrap().0.clone())
    }

    async fn last_end(&self, _: &TenantId, _: &str) -> Result<Option<Time>> {
        Ok(self.0.lock().unwrap().1)
    }
}

fn world() -> (World, Deployments) {
    let deployments = Deployments::default();
    (World::of(Mender::in_memory().usage(deployments.clone())), deployments)
}

#[tokio::test]
async fn what_an_open_deployment_uses_stays() {
    let (w, deployments) = world();
    let id = w.put(&bytes("r1", "pump")).await.unwrap();
    w.put(&bytes("r2", "pump")).await.unwrap();
    deployments.are(&["d1"], None);
    let deleted = refusal(w.artifacts().delete_artifact(&w.ctx, &id).await);
    assert_eq!(deleted, (Kind::Conflict, "Artifact is used in active deployment".into()));
    let names = ["r1".to_owned(), "r2".to_owned(), "none".to_owned()];
    let used = w.artifacts().delete_releases(&w.ctx, &names).await.unwrap();
    assert_eq!(used, ["d1"]);
    assert_eq!(w.names().await, ["r1", "r2"]);
    for name in ["r1", "r2"] {
        assert_eq!(w.artifacts().release(&w.ctx, name).await.unwrap().leaving, None);
    }
    let described = refusal(w.artifacts().describe(&w.ctx, &id, "new").await);
    assert_eq!(described.1, "Image has already been used in deployment");
    deployments.are(&[], None);
    assert_eq!(w.artifacts().delete_releases(&w.ctx, &names).await.unwrap(), [""; 0]);
    assert_eq!(w.names().await, [""; 0]);
}

#[tokio::test]
async fn what_a_deployment_used_stays_readable() {
    let (w, deployments) = world();
    let before = w.mender.env().now();
    let unused = w.put(&bytes("r1", "pump")).await.unwrap();
    deployments.are(&[], Some(before));
    w.artifacts().describe(&w.ctx, &unused, "new").await.unwrap();
    w.artifacts().delete_artifact(&w.ctx, &unused).await.unwrap();
    assert_eq!(w.artifacts().store.retired(&w.ctx.tenant, &unused).await.unwrap(), None);

    let used = w.put(&bytes("r1", "pump")).await.unwrap();
    let artifact = w.artifacts().artifact(&w.ctx, &used).await.unwrap();
    let link = w.artifacts().download_link(&w.ctx, &used, "http://x").await.unwrap();
    deployments.are(&[], Some(w.mender.env().now()));
    w.artifacts().delete_artifact(&w.ctx, &used).await.unwrap();
    let retired = w.artifacts().store.retired(&w.ctx.tenant, &used).await.unwrap().unwrap();
    assert_eq!(retired.artifact, artifact);
    // A device that has begun to fetch it goes on.
    let (key, token) = World::parts(&link.uri);
    assert!(w.artifacts().linked(&key, &token).await.is_ok());
    // And its id is never another's.
    let new = NewArtifact { id: Some(used), ..NewArtifact::default() };
    let again = w.artifacts().upload(&w.ctx, new, pieces(&bytes("r2", "pump"))).await;
    assert_eq!(refusal(again).0, Kind::Conflict);
}
