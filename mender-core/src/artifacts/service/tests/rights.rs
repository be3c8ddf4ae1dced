//! Users who are limited to releases with some tags.

use super::*;
use crate::artifacts::ArtifactQuery;

impl World {
    async fn tagged(&self, release: &str, tags: &[&str]) {
        let tags: Vec<Tag> = tags.iter().map(|tag| Tag::new(tag).unwrap()).collect();
        self.artifacts().tag(&self.ctx, release, &tags).await.unwrap();
    }

    /// Two releases of which users of `foo` see one, and the ids of their artifacts.
    async fn two(&self) -> [ArtifactId; 2] {
        let seen = self.put(&bytes("r1", "pump")).await.unwrap();
        let files = vec![FileRecipe::new("file", CONTENT.len() as u64)];
        let other = Recipe::module("other", "r2", ["pump"], files, Some(&Software::default()));
        let hidden = self.put(&other.build(&[CONTENT], None).unwrap()).await.unwrap();
        self.tagged("r1", &["foo", "one"]).await;
        self.tagged("r2", &["two", "three"]).await;
        [seen, hidden]
    }
}

#[tokio::test]
async fn lists_leave_out_what_they_may_not_see() {
    let w = World::new();
    let (of_foo, page) = (w.limited(&["foo", "none"]), PageRequest::default());
    let (all, some) = (ReleaseQuery::default, ArtifactQuery::default);
    assert_eq!(w.artifacts().releases(&of_foo, all(), page).await.unwrap(), []);
    let [seen, _] = w.two().await;
    let releases = w.artifacts().releases(&of_foo, all(), page).await.unwrap();
    assert_eq!(releases.iter().map(|release| release.name.as_str()).collect::<Vec<_>>(), ["r1"]);
    assert_eq!(w.artifacts().count_releases(&of_foo, all()).await.unwrap(), 1);
    let artifacts = w.artifacts().artifacts(&of_foo, some(), page).await.unwrap();
    assert_eq!(artifacts.into_iter().map(|artifact| artifact.id).collect::<Vec<_>>(), [seen]);
    assert_eq!(w.artifacts().count_artifacts(&of_foo, some()).await.unwrap(), 1);
    // All tags of what they see, others of it too.
    assert_eq!(w.artifacts().release_tags(&of_foo, None).await.unwrap(), ["foo", "one"]);
    assert_eq!(w.artifacts().release_tags(&w.ctx, None).await.unwrap().len(), 4);
    assert_eq!(w.artifacts().kinds(&of_foo).await.unwrap(), ["script".to_owned()].into());
    assert_eq!(w.artifacts().kinds(&w.ctx).await.unwrap().len(), 2);
    let of_nothing = w.limited(&[]);
    assert_eq!(w.artifacts().releases(&of_nothing, all(), page).await.unwrap(), []);
    assert_eq!(w.artifacts().release_tags(&of_nothing, None).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn what_they_may_not_see_is_not_there_for_them() {
    let w = World::new();
    let [seen, hidden] = w.two().await;
    let (of_foo, artifacts) = (w.limited(&["foo"]), w.artifacts());
    artifacts.artifact(&of_foo, &seen).await.unwrap();
    artifacts.describe(&of_foo, &seen, "text").await.unwrap();
    artifacts.note(&of_foo, "r1", "text").await.unwrap();
    let refused = [
        refusal(artifacts.artifact(&of_foo, &hidden).await),
        refusal(artifacts.describe(&of_foo, &hidden, "text").await),
        refusal(artifacts.download_link(&of_foo, &hidden, "http://x").await),
        refusal(artifacts.delete_artifact(&of_foo, &hidden).await),
        refusal(artifacts.release(&of_foo, "r2").await),
        refusal(artifacts.note(&of_foo, "r2", "text").await),
    ];
    assert!(refused.iter().all(|(kind, _)| *kind == Kind::NotFound), "{refused:?}");
    let both = ["r1".to_owned(), "r2".to_owned()];
    assert_eq!(artifacts.delete_releases(&of_foo, &both).await.unwrap(), [""; 0]);
    assert_eq!(w.names().await, ["r2"]);
    assert_eq!(refusal(artifacts.artifact(&w.ctx, &seen).await).0, Kind::NotFound);
    artifacts.artifact(&w.ctx, &hidden).await.unwrap();
}

#[tokio::test]
async fn what_holds_for_all_releases_is_not_for_them() {
    let w = World::new();
    w.two().await;
    let of_groups = Scope::Only { groups: Some(vec!["g".into()]), tags: None };
    let of_groups = Ctx::new(w.ctx.tenant.clone(), Actor::System, of_groups);
    for ctx in [w.limited(&["foo"]), of_groups] {
        let artifacts = w.artifacts();
        let refused = [
            refusal(artifacts.upload(&ctx, NewArtifact::default(), pieces(b"")).await),
            refusal(artifacts.upload_link(&ctx, "http://x").await),
            refusal(artifacts.tag(&ctx, "r1", &[]).await),
            refusal(artifacts.trust(&ctx, Policy::Any, &[]).await),
            refusal(artifacts.delta_settings(&ctx).await),
        ];
        assert!(refused.iter().all(|(kind, _)| *kind == Kind::Forbidden), "{refused:?}");
    }
}
