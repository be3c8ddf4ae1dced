//! The use cases, on a server in memory.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod deltas;
mod deployed;
mod manifests;
mod rights;
mod uploads;

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;

use crate::{
    artifacts::{
        ArtifactId, Config, Described, Generate, NewArtifact, Policy, ReleaseQuery, Service, Tag,
        Taken, TrustedKey, Verification,
        format::{FileRecipe, Recipe, SigningKey, Software},
    },
    blob::{BlobKey, collect},
    ctx::{Actor, Ctx, Scope},
    error::{Error, Kind, Result},
    mender::{Builder, Mender},
    page::PageRequest,
    testing::TestEnv,
};

/// A server, and who asks it.
struct World {
    mender: Mender,
    time: TestEnv,
    ctx: Ctx,
}

const CONTENT: &[u8] = b"hello";

/// An artifact of a name for devices of a type.
fn made(name: &str, device_type: &str) -> Recipe {
    let files = vec![FileRecipe::new("file", CONTENT.len() as u64)];
    Recipe::module("script", name, [device_type], files, Some(&Software::default()))
}

fn bytes(name: &str, device_type: &str) -> Vec<u8> {
    made(name, device_type).build(&[CONTENT], None).unwrap()
}

/// Bytes as they come: in pieces.
fn pieces(bytes: &[u8]) -> impl stream::Stream<Item = Result<Bytes>> + Send + 'static + use<> {
    let pieces: Vec<_> = bytes.chunks(700).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

fn refusal<T>(answer: Result<T>) -> (Kind, String) {
    let error = answer.map(|_| ()).unwrap_err();
    (error.kind, error.what.into_owned())
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self::of(Mender::in_memory().artifacts_config(config))
    }

    fn of(builder: Builder) -> Self {
        let time = TestEnv::seeded(1);
        let mender = builder.env(time.env()).build().unwrap();
        Self { mender, time, ctx: Ctx::system(Default::default()) }
    }

    fn artifacts(&self) -> &Service {
        self.mender.artifacts()
    }

    async fn put(&self, bytes: &[u8]) -> Result<ArtifactId> {
        self.time.advance(Duration::from_millis(2));
        self.artifacts().upload(&self.ctx, NewArtifact::default(), pieces(bytes)).await
    }

    /// Lets time pass, and has done what is due.
    async fn pass(&self, time: Duration) {
        self.time.advance(time);
        self.mender.drain().await.unwrap();
    }

    async fn blob(&self, id: &ArtifactId) -> Option<Bytes> {
        let key = BlobKey::new(id.as_str()).unwrap();
        let found = self.mender.blobs().blob(&key, None).await.unwrap();
        match found {
            Some(stream) => Some(collect(stream).await.unwrap()),
            None => None,
        }
    }

    async fn names(&self) -> Vec<String> {
        let releases = self.artifacts().all_releases(&self.ctx, ReleaseQuery::default()).await;
        releases.unwrap().into_iter().map(|release| release.name).collect()
    }

    fn limited(&self, tags: &[&str]) -> Ctx {
        let tags = Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
        Ctx::new(self.ctx.tenant.clone(), Actor::System, Scope::Only { groups: None, tags })
    }
}

#[tokio::test]
async fn an_artifact_is_known_once_all_of_it_is_stored() {
    let w = World::new();
    let file = bytes("r1", "pump");
    let id = w.put(&file).await.unwrap();
    let artifact = w.artifacts().artifact(&w.ctx, &id).await.unwrap();
    assert_eq!(artifact.content.name, "r1");
    assert_eq!(artifact.content.payloads[0].files[0].size, 5);
    assert_eq!(artifact.size, file.len() as u64);
    assert_eq!(w.blob(&id).await.unwrap(), file);
    let release = w.artifacts().release(&w.ctx, "r1").await.unwrap();
    assert_eq!(release.artifacts, [artifact]);
    assert_eq!(w.artifacts().kinds(&w.ctx).await.unwrap(), ["script".to_owned()].into());
}

#[tokio::test]
async fn what_is_no_artifact_leaves_nothing() {
    let w = World::new();
    let mut file = bytes("r1", "pump");
    file.truncate(file.len() - 2000);
    assert_eq!(refusal(w.put(&file).await).0, Kind::Invalid { field: "artifact" });
    assert_eq!(w.names().await, [""; 0]);
    w.pass(Duration::from_secs(3600)).await;
    assert_eq!(w.mender.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn no_two_artifacts_of_a_release_fit_the_same_device() {
    let w = World::new();
    let first = w.put(&bytes("r1", "pump")).await.unwrap();
    let error = w.put(&bytes("r1", "pump")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Conflict);
    let source = std::error::Error::source(&error).unwrap();
    let common = [("device_type".to_owned(), "pump".to_owned())].into();
    assert_eq!(source.downcast_ref::<Taken>(), Some(&Taken(common)));
    w.put(&bytes("r1", "valve")).await.unwrap();
    let release = w.artifacts().release(&w.ctx, "r1").await.unwrap();
    assert_eq!(release.artifacts.len(), 2);
    assert_eq!(release.artifacts[0].id, first);
}

#[tokio::test]
async fn a_policy_takes_what_trusted_keys_signed() {
    let w = World::new();
    let pem = include_str!("../format/signing/keys/p256.pub");
    let key = TrustedKey { name: "factory".into(), pem: pem.into() };
    let signing = include_str!("../format/signing/keys/p256-pkcs8.pem");
    let signing = SigningKey::from_pem(signing).unwrap();
    let signed = |name: &str| made(name, "pump").build(&[CONTENT], Some(&signing)).unwrap();
    let other = include_str!("../format/signing/keys/rsa-pkcs8.pem");
    let other = SigningKey::from_pem(other).unwrap();
    let foreign = |name: &str| made(name, "pump").build(&[CONTENT], Some(&other)).unwrap();

    w.artifacts().trust(&w.ctx, Policy::Any, std::slice::from_ref(&key)).await.unwrap();
    let of = async |id: ArtifactId| {
        w.artifacts().artifact(&w.ctx, &id).await.unwrap().verification.unwrap()
    };
    let trusted = Verification::Trusted { key: "factory".into() };
    assert_eq!(of(w.put(&signed("r1")).await.unwrap()).await, trusted);
    assert_eq!(of(w.put(&bytes("r2", "pump")).await.unwrap()).await, Verification::Unsigned);
    assert_eq!(of(w.put(&foreign("r3")).await.unwrap()).await, Verification::Untrusted);

    w.artifacts().trust(&w.ctx, Policy::NoneWrong, std::slice::from_ref(&key)).await.unwrap();
    assert!(w.put(&bytes("r4", "pump")).await.is_ok());
    assert_eq!(refusal(w.put(&foreign("r5")).await).0, Kind::Forbidden);
    w.artifacts().trust(&w.ctx, Policy::Signed, &[key]).await.unwrap();
    assert_eq!(refusal(w.put(&bytes("r5", "pump")).await).0, Kind::Forbidden);
    assert!(w.put(&signed("r6")).await.is_ok());
    assert_eq!(w.names().await, ["r1", "r2", "r3", "r4", "r6"]);
}

#[tokio::test]
async fn the_policy_holds_however_artifacts_come_in() {
    let w = World::with(Config { direct_upload: true, skip_verify: true, ..Config::default() });
    w.artifacts().trust(&w.ctx, Policy::Signed, &[]).await.unwrap();
    let generate = Generate {
        name: "r1".into(),
        description: String::new(),
        device_types: vec!["pump".into()],
        args: r#"{"filename":"f","dest_dir":"/"}"#.into(),
    };
    let made = w.artifacts().generate(&w.ctx, generate, None, pieces(b"x")).await;
    assert_eq!(refusal(made), (Kind::Forbidden, "the artifact is not signed".into()));
    let (id, link) = w.artifacts().upload_link(&w.ctx, "http://x").await.unwrap();
    let (key, token) = World::parts(&link.uri);
    w.artifacts().write_linked(&key, &token, pieces(&bytes("r1", "pump"))).await.unwrap();
    w.artifacts().complete_upload(&w.ctx, &id, Described::default()).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(refusal(w.artifacts().artifact(&w.ctx, &id).await).0, Kind::NotFound);
    assert_eq!(w.blob(&id).await, None);
}

#[tokio::test]
async fn storage_is_limited_and_given_back() {
    let w = World::new();
    let file = bytes("r1", "pump");
    let size = i64::try_from(file.len()).unwrap();
    w.artifacts().limit_storage(&w.ctx, size + 10).await.unwrap();
    let id = w.put(&file).await.unwrap();
    let storage = w.artifacts().storage(&w.ctx).await.unwrap();
    assert_eq!((storage.limit, storage.used), (Some(size + 10), size));
    assert_eq!(refusal(w.put(&bytes("r2", "pump")).await).0, Kind::LimitReached);
    w.artifacts().delete_artifact(&w.ctx, &id).await.unwrap();
    assert_eq!(w.artifacts().storage(&w.ctx).await.unwrap().used, 0);
    w.put(&bytes("r2", "pump")).await.unwrap();
    w.artifacts().limit_storage(&w.ctx, -1).await.unwrap();
    assert_eq!(w.artifacts().storage(&w.ctx).await.unwrap().limit, None);
}

#[tokio::test]
async fn bytes_outlive_their_artifact_by_a_day() {
    let w = World::new();
    let id = w.put(&bytes("r1", "pump")).await.unwrap();
    w.artifacts().delete_artifact(&w.ctx, &id).await.unwrap();
    assert_eq!(refusal(w.artifacts().artifact(&w.ctx, &id).await).0, Kind::NotFound);
    assert_eq!(w.names().await, [""; 0]);
    w.pass(Duration::from_secs(23 * 3600)).await;
    assert!(w.blob(&id).await.is_some());
    w.pass(Duration::from_secs(3601)).await;
    assert_eq!(w.blob(&id).await, None);
}

#[tokio::test]
async fn a_name_that_is_used_again_begins_without_tags() {
    let w = World::new();
    let id = w.put(&bytes("r1", "pump")).await.unwrap();
    let tags = [Tag::new("Stable").unwrap()];
    w.artifacts().tag(&w.ctx, "r1", &tags).await.unwrap();
    w.artifacts().note(&w.ctx, "r1", "fine").await.unwrap();
    assert_eq!(w.artifacts().release_tags(&w.ctx, None).await.unwrap(), ["stable"]);
    w.artifacts().delete_artifact(&w.ctx, &id).await.unwrap();
    w.put(&bytes("r1", "pump")).await.unwrap();
    let release = w.artifacts().release(&w.ctx, "r1").await.unwrap();
    assert_eq!((release.tags, release.notes), (Vec::new(), String::new()));
}

#[tokio::test]
async fn users_see_the_releases_of_their_tags() {
    let w = World::new();
    let seen = w.put(&bytes("r1", "pump")).await.unwrap();
    let hidden = w.put(&bytes("r2", "pump")).await.unwrap();
    let tag = [Tag::new("beta").unwrap()];
    w.artifacts().tag(&w.ctx, "r1", &tag).await.unwrap();
    let limited = w.limited(&["beta"]);
    assert!(w.artifacts().artifact(&limited, &seen).await.is_ok());
    assert_eq!(refusal(w.artifacts().artifact(&limited, &hidden).await).0, Kind::NotFound);
    assert_eq!(refusal(w.artifacts().release(&limited, "r2").await).0, Kind::NotFound);
    let page = PageRequest::default();
    let found = w.artifacts().releases(&limited, ReleaseQuery::default(), page).await.unwrap();
    assert_eq!(found.len(), 1);
    let found = w.artifacts().artifacts(&limited, Default::default(), page).await.unwrap();
    assert_eq!(found[0].id, seen);
    let put = w.artifacts().upload(&limited, NewArtifact::default(), pieces(b"")).await;
    assert_eq!(refusal(put).0, Kind::Forbidden);
    assert_eq!(refusal(w.artifacts().tag(&limited, "r1", &tag).await).0, Kind::Forbidden);
    let deleted = w.artifacts().delete_releases(&limited, &["r2".to_owned()]).await;
    assert_eq!(deleted.unwrap(), [""; 0]);
    assert!(w.artifacts().release(&w.ctx, "r2").await.is_ok());
}

#[tokio::test]
async fn tenants_have_names_and_bytes_of_their_own() {
    let w = World::new();
    w.put(&bytes("r1", "pump")).await.unwrap();
    let other = Ctx::system("t 2/é".parse().unwrap());
    let file = bytes("r1", "pump");
    let id = w.artifacts().upload(&other, NewArtifact::default(), pieces(&file)).await.unwrap();
    w.artifacts().limit_storage(&other, 1 << 20).await.unwrap();
    assert_eq!(refusal(w.artifacts().artifact(&w.ctx, &id).await).0, Kind::NotFound);
    assert!(w.artifacts().artifact(&other, &id).await.is_ok());
    w.mender.forget_tenant(&other.tenant).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(refusal(w.artifacts().artifact(&other, &id).await).0, Kind::NotFound);
    // Whoever comes to have its id begins anew.
    let storage = w.artifacts().storage(&other).await.unwrap();
    assert_eq!((storage.limit, storage.used), (None, 0));
    assert_eq!(w.names().await, ["r1"]);
}

#[tokio::test]
async fn a_client_that_goes_away_is_no_artifact() {
    let w = World::new();
    let file = bytes("r1", "pump");
    let broken = stream::iter([
        Ok(Bytes::copy_from_slice(&file[..1000])),
        Err(Error::invalid("artifact", "unexpected EOF")),
    ]);
    let put = w.artifacts().upload(&w.ctx, NewArtifact::default(), broken).await;
    assert_eq!(refusal(put).1, "unexpected EOF");
    assert_eq!(w.names().await, [""; 0]);
}
