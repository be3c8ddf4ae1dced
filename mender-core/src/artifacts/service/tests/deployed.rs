//! What deployments use.

use super::*;
use crate::deployments::{Course, DeploymentId, NewDeployment, Whom};

impl World {
    /// Orders a device to have a release.
    pub(super) async fn deploy(&self, release: &str) -> DeploymentId {
        let new = NewDeployment {
            name: "d".into(),
            artifact_name: release.into(),
            force_installation: false,
            whom: Whom::Devices(vec!["d1".parse().unwrap()]),
            course: Course::default(),
        };
        self.mender.deployments().create(&self.ctx, new).await.unwrap()
    }

    async fn abort(&self, id: &DeploymentId) {
        self.mender.deployments().abort(&self.ctx, id).await.unwrap();
        self.mender.drain().await.unwrap();
    }
}

#[tokio::test]
async fn what_an_open_deployment_uses_stays() {
    let w = World::new();
    let id = w.put(&bytes("r1", "pump")).await.unwrap();
    w.put(&bytes("r2", "pump")).await.unwrap();
    let deployment = w.deploy("r1").await;
    let deleted = refusal(w.artifacts().delete_artifact(&w.ctx, &id).await);
    assert_eq!(deleted, (Kind::Conflict, "Artifact is used in active deployment".into()));
    let names = ["r1".to_owned(), "r2".to_owned(), "none".to_owned()];
    let used = w.artifacts().delete_releases(&w.ctx, &names).await.unwrap();
    assert_eq!(used, [deployment.to_string()]);
    assert_eq!(w.names().await, ["r1", "r2"]);
    for name in ["r1", "r2"] {
        assert_eq!(w.artifacts().release(&w.ctx, name).await.unwrap().leaving, None);
    }
    let described = refusal(w.artifacts().describe(&w.ctx, &id, "new").await);
    assert_eq!(described.1, "Image has already been used in deployment");
    w.abort(&deployment).await;
    assert_eq!(w.artifacts().delete_releases(&w.ctx, &names).await.unwrap(), [""; 0]);
    assert_eq!(w.names().await, [""; 0]);
}

#[tokio::test]
async fn what_a_deployment_used_stays_readable() {
    let w = World::new();
    let used = w.put(&bytes("r1", "pump")).await.unwrap();
    let artifact = w.artifacts().artifact(&w.ctx, &used).await.unwrap();
    let deployment = w.deploy("r1").await;
    w.abort(&deployment).await;
    // Stored after the last deployment of its name ended.
    let unused = w.put(&bytes("r1", "valve")).await.unwrap();
    w.artifacts().describe(&w.ctx, &unused, "new").await.unwrap();
    w.artifacts().delete_artifact(&w.ctx, &unused).await.unwrap();
    assert_eq!(w.artifacts().store.retired(&w.ctx.tenant, &unused).await.unwrap(), None);

    let link = w.artifacts().download_link(&w.ctx, &used, "http://x").await.unwrap();
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
