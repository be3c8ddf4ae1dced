use super::*;
use crate::artifacts::{
    MAX_MANIFEST_ARTIFACT, NewManifest, Release, ReleaseKind, format::SystemManifest,
};

fn yaml(name: &str, system_type: &str) -> String {
    format!(
        "api_version: mender/v1\nkind: manifest\nname: {name}\n\
         system_types_compatible: [{system_type}]\n\
         component_types:\n  gateway:\n    artifact_name: g-1\n    update_strategy: {{order: 1}}\n"
    )
}

fn recipe(name: &str, system_type: &str, size: usize) -> Recipe {
    Recipe::system_manifest(name, [system_type], size as u64)
}

/// An artifact with a manifest.
fn manifest(name: &str, system_type: &str) -> Vec<u8> {
    let yaml = yaml(name, system_type);
    recipe(name, system_type, yaml.len()).build(&[yaml.as_bytes()], None).unwrap()
}

fn tags(tags: &[&str]) -> Vec<Tag> {
    tags.iter().map(|tag| Tag::new(tag).unwrap()).collect()
}

impl World {
    async fn generate_manifest(&self, yaml: &str, new: NewManifest) -> Result<String> {
        self.artifacts().generate_manifest(&self.ctx, new, pieces(yaml.as_bytes())).await
    }

    async fn upload_manifest(&self, bytes: &[u8], new: NewManifest) -> Result<String> {
        self.artifacts().upload_manifest(&self.ctx, new, pieces(bytes)).await
    }

    async fn manifest(&self, name: &str) -> Result<Release> {
        self.artifacts().manifest(&self.ctx, name).await
    }
}

#[tokio::test]
async fn a_manifest_is_a_release_of_its_own() {
    let w = World::new();
    let new = NewManifest { tags: tags(&["b", "a", "b"]), ..NewManifest::default() };
    assert_eq!(w.upload_manifest(&manifest("m1", "core"), new).await.unwrap(), "m1");
    let found = w.manifest("m1").await.unwrap();
    assert_eq!(found.tags, tags(&["b", "a"]));
    let system = found.artifacts[0].content.system.as_deref();
    let expected = SystemManifest::parse(yaml("m1", "core").as_bytes()).unwrap();
    assert_eq!(system, Some(&expected));
    assert!(w.blob(&found.artifacts[0].id).await.is_some());
    // It is none of the others.
    assert_eq!(refusal(w.artifacts().release(&w.ctx, "m1").await).1, "release not found");
    assert_eq!(refusal(w.artifacts().note(&w.ctx, "m1", "x").await).0, Kind::NotFound);
    assert_eq!(refusal(w.artifacts().tag(&w.ctx, "m1", &[]).await).0, Kind::NotFound);
    assert_eq!(w.artifacts().delete_releases(&w.ctx, &["m1".into()]).await.unwrap(), [""; 0]);
    w.put(&bytes("r1", "pump")).await.unwrap();
    assert_eq!(refusal(w.manifest("r1").await).1, "manifest not found");
    let delete = |name: &str| [name.to_owned()];
    let deleted = w.artifacts().delete_manifests(&w.ctx, &delete("r1")).await;
    assert_eq!(deleted.unwrap(), [""; 0]);
    assert_eq!(w.names().await, ["m1", "r1"]);
    w.artifacts().delete_manifests(&w.ctx, &delete("m1")).await.unwrap();
    assert_eq!(w.names().await, ["r1"]);
}

#[tokio::test]
async fn an_artifact_is_made_of_a_manifest() {
    let w = World::new();
    let new = NewManifest { description: "d".into(), tags: tags(&["a"]), size: None };
    let text = yaml("m1", "core");
    assert_eq!(w.generate_manifest(&text, new).await.unwrap(), "m1");
    let found = w.manifest("m1").await.unwrap();
    let artifact = &found.artifacts[0];
    assert_eq!(artifact.description.as_deref(), Some("d"));
    assert_eq!(artifact.content.device_types, ["core"]);
    assert_eq!(artifact.content.payloads[0].files[0].size, text.len() as u64);
    assert_eq!(w.blob(&artifact.id).await.unwrap(), manifest("m1", "core"));
    assert_eq!(artifact.size, manifest("m1", "core").len() as u64);
    w.pass(Duration::from_secs(3600)).await;
    assert_eq!(w.mender.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn names_are_those_of_one_thing() {
    let w = World::new();
    let new = NewManifest::default;
    w.put(&bytes("r1", "pump")).await.unwrap();
    w.upload_manifest(&manifest("m1", "core"), new()).await.unwrap();
    let taken = |error: Error| {
        assert_eq!(error.kind, Kind::Conflict);
        let source = std::error::Error::source(&error).unwrap();
        let Taken(conflict) = source.downcast_ref::<Taken>().unwrap().clone();
        (error.what.into_owned(), conflict)
    };
    let named = |name: &str| {
        let conflict = [("artifact_name".to_owned(), name.to_owned())].into();
        ("software with the same name already exists".to_owned(), conflict)
    };
    for (refused, name) in [
        (w.generate_manifest(&yaml("r1", "pump"), new()).await.unwrap_err(), "r1"),
        (w.generate_manifest(&yaml("m1", "core"), new()).await.unwrap_err(), "m1"),
        (w.upload_manifest(&manifest("r1", "core"), new()).await.unwrap_err(), "r1"),
        (w.upload_manifest(&manifest("m1", "other"), new()).await.unwrap_err(), "m1"),
        (w.put(&bytes("m1", "pump")).await.unwrap_err(), "m1"),
        (w.put(&manifest("r1", "core")).await.unwrap_err(), "r1"),
    ] {
        assert_eq!(taken(refused), named(name));
    }
    let refused = w.upload_manifest(&manifest("m1", "core"), new()).await.unwrap_err();
    let conflict = [("device_type".to_owned(), "core".to_owned())].into();
    let what = "an artifact with the same name and depends already exists";
    assert_eq!(taken(refused), (what.to_owned(), conflict));
    assert_eq!(w.names().await, ["m1", "r1"]);
}

#[tokio::test]
async fn what_is_no_manifest_leaves_nothing() {
    let w = World::new();
    let new = NewManifest::default;
    let text = yaml("m1", "core");
    let of = |recipe: Recipe, contents: &[&[u8]]| recipe.build(contents, None).unwrap();
    let mut two = recipe("m1", "core", text.len());
    two.payloads[0].files.push(FileRecipe::new("more", 1));
    let mut none = recipe("m1", "core", 0);
    none.payloads[0].files.clear();
    let (rest, both) = (recipe("m1", "core", text.len()), recipe("m1", "core", text.len()));
    let both = both.payload(made("m1", "core").payloads.remove(0));
    for (bytes, why) in [
        (bytes("m1", "core"), "must have one payload, of type mender-orchestrator-manifest"),
        (of(both, &[text.as_bytes(), CONTENT]), "must have one payload"),
        (of(two, &[text.as_bytes(), b"x"]), "must have one file"),
        (of(none, &[]), "must have one file"),
        (of(recipe("m2", "core", text.len()), &[text.as_bytes()]), "name: must be that"),
        (of(recipe("m1", "core", 2), &[b"a:"]), "unknown field `a`"),
    ] {
        let (kind, refused) = refusal(w.upload_manifest(&bytes, new()).await);
        assert_eq!(kind, Kind::Invalid { field: "manifest" });
        assert!(refused.contains(why), "{why}: {refused}");
    }
    let (kind, refused) = refusal(w.generate_manifest("a: 1", new()).await);
    assert_eq!(kind, Kind::Invalid { field: "manifest" });
    assert!(refused.contains("unknown field `a`"), "{refused}");
    let long = format!("{text}#{}", "x".repeat(SystemManifest::MAX));
    assert_eq!(refusal(w.generate_manifest(&long, new()).await).0, Kind::TooLarge);
    let size = Some(MAX_MANIFEST_ARTIFACT + 1);
    let large = w.upload_manifest(b"", NewManifest { size, ..new() }).await;
    assert_eq!(refusal(large).0, Kind::Invalid { field: "size" });
    assert_eq!(w.names().await, [""; 0]);
    w.pass(Duration::from_secs(3600)).await;
    assert_eq!(w.mender.next_due().await.unwrap(), None);
    // The name is free.
    w.upload_manifest(&of(rest, &[text.as_bytes()]), new()).await.unwrap();
}

#[tokio::test]
async fn an_artifact_that_came_another_way_is_a_manifest_too() {
    let w = World::with(Config { direct_upload: true, skip_verify: true, ..Config::default() });
    w.put(&manifest("m1", "core")).await.unwrap();
    assert!(w.manifest("m1").await.unwrap().artifacts[0].content.system.is_some());
    let (id, link) = w.artifacts().upload_link(&w.ctx, "http://x").await.unwrap();
    let (key, token) = World::parts(&link.uri);
    let file = manifest("m2", "core");
    w.artifacts().write_linked(&key, &token, pieces(&file)).await.unwrap();
    w.artifacts().complete_upload(&w.ctx, &id, Described::default()).await.unwrap();
    w.mender.drain().await.unwrap();
    assert!(w.manifest("m2").await.unwrap().artifacts[0].content.system.is_some());
    // What a newer server may understand.
    let newer = recipe("m3", "core", 2).build(&[b"a:"], None).unwrap();
    w.put(&newer).await.unwrap();
    assert_eq!(w.manifest("m3").await.unwrap().artifacts[0].content.system, None);
}

#[tokio::test]
async fn notes_and_tags_of_a_manifest_change_where_they_are_given() {
    let w = World::new();
    let new = NewManifest { tags: tags(&["a"]), ..NewManifest::default() };
    w.generate_manifest(&yaml("m1", "core"), new).await.unwrap();
    let change = async |notes: Option<&str>, tags: Option<Vec<Tag>>| {
        w.artifacts().annotate_manifest(&w.ctx, "m1", notes, tags.as_deref()).await
    };
    change(Some("n"), None).await.unwrap();
    change(None, Some(tags(&["b", "b"]))).await.unwrap();
    change(None, None).await.unwrap();
    let found = w.manifest("m1").await.unwrap();
    assert_eq!((found.notes.as_str(), found.tags), ("n", tags(&["b"])));
    assert_eq!(refusal(change(Some("\n"), None).await).0, Kind::Invalid { field: "notes" });
    let many: Vec<String> = (0..21).map(|n| format!("t{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = refusal(change(Some("x"), Some(tags(&many))).await).0;
    assert_eq!(refused, Kind::Invalid { field: "tags" });
    assert_eq!(w.manifest("m1").await.unwrap().notes, "n");
    let none = w.artifacts().annotate_manifest(&w.ctx, "m2", Some("x"), None).await;
    assert_eq!(refusal(none).1, "manifest not found");
    let of = |kind| w.artifacts().release_tags(&w.ctx, Some(kind));
    assert_eq!(of(ReleaseKind::Manifest).await.unwrap(), ["b"]);
    assert_eq!(of(ReleaseKind::Release).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn different_tags_are_counted_over_manifests_and_releases() {
    let w = World::new();
    let at = |n: usize| -> Vec<Tag> {
        (n * 20..n * 20 + 20).map(|n| Tag::new(&format!("t{n}")).unwrap()).collect()
    };
    for n in 0..5 {
        let new = NewManifest { tags: at(n), ..NewManifest::default() };
        w.generate_manifest(&yaml(&format!("m{n}"), "core"), new).await.unwrap();
    }
    let more = NewManifest { tags: tags(&["more"]), ..NewManifest::default() };
    let refused = w.generate_manifest(&yaml("m", "core"), more).await;
    assert_eq!(refusal(refused).0, Kind::Conflict);
    w.put(&bytes("r1", "pump")).await.unwrap();
    let refused = w.artifacts().tag(&w.ctx, "r1", &tags(&["more"])).await;
    assert_eq!(refusal(refused).0, Kind::Conflict);
    w.artifacts().tag(&w.ctx, "r1", &tags(&["t0"])).await.unwrap();
}

#[tokio::test]
async fn a_manifest_that_is_deployed_stays() {
    let w = World::new();
    for name in ["m1", "m2"] {
        w.generate_manifest(&yaml(name, "core"), NewManifest::default()).await.unwrap();
    }
    let deployment = w.deploy("m1").await;
    let names = ["m1", "m2"].map(str::to_owned);
    let used = w.artifacts().delete_manifests(&w.ctx, &names).await.unwrap();
    assert_eq!(used, [deployment.to_string()]);
    assert_eq!(w.names().await, names);
    // Nothing asks whether it is used as what it is not.
    assert_eq!(w.artifacts().delete_releases(&w.ctx, &names).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn users_of_some_tags_see_their_manifests_and_store_none() {
    let w = World::new();
    for (name, tag) in [("m1", "a"), ("m2", "b")] {
        let new = NewManifest { tags: tags(&[tag]), ..NewManifest::default() };
        w.generate_manifest(&yaml(name, "core"), new).await.unwrap();
    }
    let limited = w.limited(&["a"]);
    let artifacts = w.artifacts();
    assert!(artifacts.manifest(&limited, "m1").await.is_ok());
    assert_eq!(refusal(artifacts.manifest(&limited, "m2").await).0, Kind::NotFound);
    let query = ReleaseQuery { of: Some(ReleaseKind::Manifest), ..ReleaseQuery::default() };
    assert_eq!(artifacts.count_releases(&limited, query).await.unwrap(), 1);
    artifacts.annotate_manifest(&limited, "m1", Some("x"), None).await.unwrap();
    let retag = artifacts.annotate_manifest(&limited, "m1", None, Some(&[])).await;
    assert_eq!(refusal(retag).0, Kind::Forbidden);
    let text = yaml("m3", "core");
    let made = artifacts.generate_manifest(&limited, Default::default(), pieces(text.as_bytes()));
    assert_eq!(refusal(made.await).0, Kind::Forbidden);
    artifacts.delete_manifests(&limited, &["m2".into()]).await.unwrap();
    artifacts.manifest(&w.ctx, "m2").await.unwrap();
}

#[tokio::test]
async fn nothing_is_made_where_only_signed_artifacts_are_taken() {
    let w = World::new();
    w.artifacts().trust(&w.ctx, Policy::Signed, &[]).await.unwrap();
    let made = w.generate_manifest(&yaml("m1", "core"), NewManifest::default()).await;
    assert_eq!(refusal(made), (Kind::Forbidden, "the artifact is not signed".into()));
}

#[tokio::test]
async fn manifests_are_those_of_their_tenant() {
    let w = World::new();
    w.generate_manifest(&yaml("m1", "core"), NewManifest::default()).await.unwrap();
    let other = Ctx::system("other".parse().unwrap());
    assert_eq!(refusal(w.artifacts().manifest(&other, "m1").await).0, Kind::NotFound);
    let text = yaml("m1", "core");
    let made =
        w.artifacts().generate_manifest(&other, Default::default(), pieces(text.as_bytes())).await;
    assert_eq!(made.unwrap(), "m1");
    w.artifacts().delete_manifests(&other, &["m1".into()]).await.unwrap();
    w.manifest("m1").await.unwrap();
}
