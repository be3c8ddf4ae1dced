use std::{pin::pin, task::Poll};

use futures_util::poll;

use super::*;

/// Longer than anything waits.
const LONG: Duration = Duration::from_secs(25 * 3600);

const TOO_LARGE: &str = "Artifact file too large";

impl World {
    async fn put_sized(&self, bytes: &[u8], size: u64) -> Result<ArtifactId> {
        let new = NewArtifact { size: Some(size), ..NewArtifact::default() };
        self.artifacts().upload(&self.ctx, new, pieces(bytes)).await
    }

    /// The path and the token of a link of ours.
    pub(super) fn parts(uri: &str) -> (String, String) {
        let rest = uri.strip_prefix("http://x/api/storage/v1/").unwrap();
        let (key, token) = rest.split_once("?token=").unwrap();
        (key.to_owned(), token.to_owned())
    }
}

#[tokio::test]
async fn sizes_are_as_announced() {
    let w = World::new();
    let file = bytes("r1", "pump");
    let size = file.len() as u64;
    let refused = refusal(w.put_sized(&file, size + 1).await);
    assert_eq!(refused, (Kind::Invalid { field: "size" }, "unexpected EOF".into()));
    let refused = refusal(w.put_sized(&file, size - 700).await);
    assert_eq!(refused, (Kind::Invalid { field: "artifact" }, "read too many bytes".into()));
    let longer = [file.as_slice(), &[b'x'; 3000]].concat();
    assert_eq!(refusal(w.put_sized(&longer, size).await), (Kind::TooLarge, TOO_LARGE.into()));
    let refused = refusal(w.put_sized(&file, 20 << 30).await);
    assert_eq!(refused, (Kind::Invalid { field: "size" }, TOO_LARGE.into()));
    w.put_sized(&file, size).await.unwrap();
}

#[tokio::test]
async fn an_id_that_is_taken_keeps_its_bytes() {
    let w = World::new();
    let file = bytes("r1", "pump");
    let id = w.put(&file).await.unwrap();
    let again = async |file: &[u8]| {
        let new = NewArtifact { id: Some(id.clone()), ..NewArtifact::default() };
        w.artifacts().upload(&w.ctx, new, pieces(file)).await
    };
    assert_eq!(refusal(again(&bytes("r2", "pump")).await).0, Kind::Conflict);
    assert_eq!(w.blob(&id).await.unwrap(), file);
    w.pass(LONG).await;
    assert_eq!(w.blob(&id).await.unwrap(), file);
    // Its id comes back before its bytes are swept.
    w.artifacts().delete_artifact(&w.ctx, &id).await.unwrap();
    again(&file).await.unwrap();
    w.pass(LONG).await;
    assert_eq!(w.blob(&id).await.unwrap(), file);
}

#[tokio::test]
async fn an_upload_that_is_cut_off_is_swept() {
    let w = World::new();
    let file = bytes("r1", "pump");
    let half = pieces(&file[..1400]);
    let stuck = futures_util::StreamExt::chain(half, stream::pending());
    {
        let mut upload = pin!(w.artifacts().upload(&w.ctx, NewArtifact::default(), stuck));
        for _ in 0..1000 {
            assert!(matches!(poll!(&mut upload), Poll::Pending));
            tokio::task::yield_now().await;
        }
    }
    assert!(w.mender.next_due().await.unwrap().is_some());
    w.pass(Duration::from_secs(16 * 60)).await;
    assert_eq!(w.mender.next_due().await.unwrap(), None);
    assert_eq!(w.names().await, [""; 0]);
    w.put(&file).await.unwrap();
}

#[tokio::test]
async fn clients_put_artifacts_past_the_server() {
    let w = World::with(Config { direct_upload: true, ..Config::default() });
    let (id, link) = w.artifacts().upload_link(&w.ctx, "http://x").await.unwrap();
    assert_eq!(link.method, "PUT");
    let complete = || w.artifacts().complete_upload(&w.ctx, &id, Described::default());
    assert_eq!(refusal(complete().await).0, Kind::NotFound);
    let (key, token) = World::parts(&link.uri);
    let file = bytes("r1", "pump");
    w.artifacts().write_linked(&key, &token, pieces(&file)).await.unwrap();
    complete().await.unwrap();
    assert_eq!(refusal(complete().await).0, Kind::NotFound);
    let again = w.artifacts().write_linked(&key, &token, pieces(&file)).await;
    assert_eq!(refusal(again).0, Kind::Forbidden);
    w.mender.drain().await.unwrap();
    let artifact = w.artifacts().artifact(&w.ctx, &id).await.unwrap();
    assert_eq!((artifact.description, artifact.size), (None, file.len() as u64));
    let raw = BlobKey::new(format!("{id}.tmp")).unwrap();
    assert_eq!(w.mender.blobs().blob_size(&raw).await.unwrap(), None);
    assert!(w.blob(&id).await.is_some());
}

#[tokio::test]
async fn what_is_never_completed_is_swept() {
    let w = World::with(Config { direct_upload: true, skip_verify: true, ..Config::default() });
    let (id, link) = w.artifacts().upload_link(&w.ctx, "http://x").await.unwrap();
    let (key, token) = World::parts(&link.uri);
    w.artifacts().write_linked(&key, &token, pieces(&bytes("r1", "pump"))).await.unwrap();
    assert!(w.blob(&id).await.is_some());
    w.pass(Duration::from_secs(3601)).await;
    assert_eq!(w.blob(&id).await, None);
    let late = w.artifacts().complete_upload(&w.ctx, &id, Described::default()).await;
    assert_eq!(refusal(late).0, Kind::NotFound);
}

#[tokio::test]
async fn links_are_good_for_what_they_say_and_for_a_while() {
    let w = World::new();
    let file = bytes("r1", "pump");
    let id = w.put(&file).await.unwrap();
    let link = w.artifacts().download_link(&w.ctx, &id, "http://x/").await.unwrap();
    let (key, token) = World::parts(&link.uri);
    let linked = w.artifacts().linked(&key, &token).await.unwrap();
    assert_eq!(linked.disposition.as_deref(), Some("attachment; filename=\"r1.mender\""));
    let part = w.artifacts().read_linked(&linked, 10..20).await.unwrap();
    assert_eq!(collect(part).await.unwrap(), file[10..20]);
    let forged = format!("{token}x");
    assert_eq!(refusal(w.artifacts().linked(&key, &forged).await).0, Kind::Forbidden);
    assert_eq!(refusal(w.artifacts().linked("other", &token).await).0, Kind::Forbidden);
    let write = w.artifacts().write_linked(&key, &token, pieces(b"")).await;
    assert_eq!(refusal(write).0, Kind::Forbidden);
    w.time.advance(Duration::from_secs(15 * 60 + 1));
    let late = refusal(w.artifacts().linked(&key, &token).await);
    assert_eq!(late, (Kind::Forbidden, "URL expired".into()));
}

#[tokio::test]
async fn an_artifact_is_made_of_a_file() {
    let w = World::new();
    let generate = Generate {
        name: "r1".into(),
        description: "a script".into(),
        device_types: vec!["pump".into(), "valve".into()],
        args: r#"{"filename":"run.sh","dest_dir":"/opt","software_version":"7"}"#.into(),
    };
    let content = vec![b'x'; 100_000];
    let artifacts = w.artifacts();
    let id = artifacts.generate(&w.ctx, generate.clone(), None, pieces(&content)).await.unwrap();
    assert_eq!(refusal(artifacts.artifact(&w.ctx, &id).await).0, Kind::NotFound);
    w.mender.drain().await.unwrap();
    let artifact = artifacts.artifact(&w.ctx, &id).await.unwrap();
    let names: Vec<_> =
        artifact.content.payloads[0].files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["dest_dir", "filename", "permissions", "run.sh"]);
    assert_eq!(artifact.content.provides["rootfs-image.single-file.version"], "7");
    assert_eq!(artifact.description.as_deref(), Some("a script"));
    let raw = BlobKey::new(format!("{id}.tmp")).unwrap();
    assert_eq!(w.mender.blobs().blob_size(&raw).await.unwrap(), None);
    let again = artifacts.generate(&w.ctx, generate, None, pieces(&content)).await;
    assert_eq!(refusal(again), (Kind::Conflict, "Artifact not unique".into()));
}

#[tokio::test]
async fn a_file_for_an_artifact_is_bounded() {
    let w = World::with(Config { max_generate_size: 10, ..Config::default() });
    let generate = || Generate {
        name: "r1".into(),
        description: String::new(),
        device_types: vec!["pump".into()],
        args: r#"{"filename":"f","dest_dir":"/"}"#.into(),
    };
    let put = async |size, bytes: &[u8]| {
        w.artifacts().generate(&w.ctx, generate(), size, pieces(bytes)).await
    };
    assert_eq!(refusal(put(None, &[0; 11]).await), (Kind::TooLarge, TOO_LARGE.into()));
    assert_eq!(refusal(put(Some(4), &[0; 5]).await), (Kind::TooLarge, TOO_LARGE.into()));
    assert_eq!(refusal(put(Some(6), &[0; 5]).await).1, "unexpected EOF");
    assert_eq!(refusal(put(Some(11), &[]).await).1, TOO_LARGE);
    put(Some(5), &[0; 5]).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(w.names().await, ["r1"]);
}
