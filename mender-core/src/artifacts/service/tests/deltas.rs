use std::{collections::BTreeMap, io::Cursor};

use ring::digest::{SHA256, digest};

use super::*;
use crate::{
    artifacts::{
        Artifact, DeltaJob, DeltaQuery, DeltaRange, DeltaRequest, DeltaSettings, DeltaState,
        DeltaStatus,
        format::{Depend, Limits, Parser, Script, Sink},
        logic::deltas,
        service::DeltaConfig,
        vcdiff,
    },
    env::hex,
};

/// An image of a version: most of it is the same in each.
fn image(version: u8) -> Vec<u8> {
    let mut image: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
    image[100_000..100_100].fill(version);
    image
}

fn sum(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn rootfs(version: u8) -> Recipe {
    let file = FileRecipe::new("image.ext4", image(version).len() as u64);
    let mut recipe =
        Recipe::rootfs(&format!("v{version}"), ["pump"], file, Some(&Software::default()));
    recipe.scripts =
        vec![Script { name: "ArtifactInstall_Enter_00".into(), content: vec![version; 700] }];
    recipe.group = Some("beta".into());
    recipe.depends_groups = vec!["alpha".into()];
    recipe.payloads[0].depends.insert("bootloader".into(), Depend::One("7".into()));
    recipe
}

fn built(version: u8) -> Vec<u8> {
    rootfs(version).build(&[&image(version)], None).unwrap()
}

/// What a device provides that has a version.
fn device(version: u8) -> BTreeMap<String, String> {
    let module = "rootfs-image.update-module.mender-binary-delta";
    [
        ("device_type".to_owned(), "pump".to_owned()),
        ("rootfs-image.version".to_owned(), format!("v{version}")),
        ("rootfs-image.checksum".to_owned(), sum(&image(version))),
        (format!("{module}.mender_update_module"), "mender-binary-delta".to_owned()),
        (format!("{module}.version"), "1.4.1".to_owned()),
    ]
    .into()
}

impl World {
    async fn ask(&self, target: &ArtifactId, device: &BTreeMap<String, String>) -> DeltaState {
        let deployment = Some("d1");
        let request = DeltaRequest { target, provides: device, deployment, looks: false };
        self.artifacts().delta(&self.ctx, request).await.unwrap()
    }

    async fn look(&self, target: &ArtifactId, device: &BTreeMap<String, String>) -> DeltaState {
        let request = DeltaRequest { target, provides: device, deployment: None, looks: true };
        self.artifacts().delta(&self.ctx, request).await.unwrap()
    }

    async fn versions(&self, versions: &[u8]) -> Vec<ArtifactId> {
        let mut ids = Vec::new();
        for version in versions {
            ids.push(self.put(&built(*version)).await.unwrap());
        }
        ids
    }

    async fn jobs(&self) -> Vec<DeltaJob> {
        let query = DeltaQuery::default();
        self.artifacts().delta_jobs(&self.ctx, &query, PageRequest::default()).await.unwrap().0
    }

    async fn job(&self, state: DeltaState) -> DeltaJob {
        let (DeltaState::Generating(id) | DeltaState::Failed(id)) = state else {
            panic!("no job: {state:?}");
        };
        self.artifacts().delta_job(&self.ctx, &id).await.unwrap()
    }

    async fn configure(&self, settings: DeltaSettings) {
        self.artifacts().configure_deltas(&self.ctx, settings, None).await.unwrap();
    }

    async fn known(&self, id: &ArtifactId) -> Artifact {
        self.artifacts().artifact(&self.ctx, id).await.unwrap()
    }
}

fn enabled() -> DeltaSettings {
    DeltaSettings { enabled: true, ..DeltaSettings::default() }
}

fn texts(job: &DeltaJob) -> Vec<&str> {
    job.notes.iter().map(|note| note.text.as_str()).collect()
}

#[derive(Default)]
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn begin(&mut self, _: usize, _: &str, _: u64) {}
    fn write(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }
    fn end(&mut self) {}
}

#[tokio::test]
async fn a_device_gets_a_delta_of_what_it_has() {
    let w = World::new();
    let ids = w.versions(&[1, 2]).await;
    assert_eq!(w.look(&ids[1], &device(1)).await, DeltaState::Absent);
    assert_eq!(w.jobs().await, []);
    let DeltaState::Generating(job) = w.ask(&ids[1], &device(1)).await else { panic!() };
    assert_eq!(w.look(&ids[1], &device(1)).await, DeltaState::Generating(job.clone()));
    assert_eq!(w.ask(&ids[1], &device(1)).await, DeltaState::Generating(job.clone()));
    w.mender.drain().await.unwrap();
    let DeltaState::Ready(delta) = w.ask(&ids[1], &device(1)).await else { panic!() };

    let (full, delta) = (w.known(&ids[1]).await, w.known(&delta).await);
    let (theirs, ours) = (&full.content, &delta.content);
    assert_eq!((ours.name.as_str(), ours.payloads[0].kind.as_deref()), ("v2", Some(deltas::KIND)));
    assert_eq!(ours.provides, theirs.provides);
    assert_eq!(ours.provides["rootfs-image.checksum"], sum(&image(2)));
    let mut depends = theirs.depends.clone();
    depends.insert("rootfs-image.checksum".into(), Depend::One(sum(&image(1))));
    assert_eq!(ours.depends, depends);
    assert_eq!(ours.clears, ["artifact_group", "rootfs_image_checksum", "rootfs-image.*"]);
    assert_eq!(ours.scripts, theirs.scripts);
    let meta = serde_json::json!({
        "delta_algorithm": "xdelta3", "rootfs_file_size": image(2).len(),
    });
    assert_eq!(serde_json::Value::Object(ours.payloads[0].meta_data.clone()), meta);
    assert_eq!(ours.payloads[0].files[0].name, "image.ext4.delta");
    assert!(delta.size < full.size / 4);

    let (mut kept, mut made) = (Kept::default(), Vec::new());
    let mut parser = Parser::new(Limits::default()).keep_scripts();
    parser.push_to(&w.blob(&delta.id).await.unwrap(), &mut kept).unwrap();
    assert_eq!(parser.finish().unwrap().scripts, rootfs(2).scripts);
    vcdiff::decode(&mut Cursor::new(image(1)), &mut kept.0.as_slice(), &mut made).unwrap();
    assert!(made == image(2));

    let job = w.artifacts().delta_job(&w.ctx, &job).await.unwrap();
    assert_eq!((job.from.as_str(), job.to.as_str()), ("v1", "v2"));
    assert_eq!((job.status, job.deployment.as_deref()), (DeltaStatus::Success, Some("d1")));
    assert_eq!(job.delta, Some(delta.id.clone()));
    assert_eq!((job.target_size, job.delta_size), (Some(800_000), Some(delta.size)));
    let notes = texts(&job);
    assert_eq!(notes[..2], ["generation job scheduled", "generation started"]);
    assert_eq!(notes.last(), Some(&"finished successfully"));
    let used = w.artifacts().storage(&w.ctx).await.unwrap().used;
    let sizes = [w.known(&ids[0]).await.size, full.size, delta.size];
    assert_eq!(used.cast_unsigned(), sizes.iter().sum::<u64>());
}

#[tokio::test]
async fn where_no_delta_can_be_there_is_a_reason() {
    let w = World::new();
    let ids = w.versions(&[1, 2]).await;
    let other = w.put(&bytes("v2", "valve")).await.unwrap();
    let without = |key: &str| {
        let mut device = device(1);
        device.remove(key);
        device
    };
    let module = "rootfs-image.update-module.mender-binary-delta";
    let mut older = device(1);
    older.insert("rootfs-image.version".into(), "v0".into());
    let cases = [
        (&ids[1], without("rootfs-image.version")),
        (&ids[1], without("rootfs-image.checksum")),
        (&ids[1], without(&format!("{module}.version"))),
        (&ids[1], without(&format!("{module}.mender_update_module"))),
        (&ids[1], device(3)),
        (&ids[1], older),
        (&ids[0], device(1)),
        (&other, device(1)),
    ];
    for (target, device) in cases {
        let state = w.ask(target, &device).await;
        assert!(matches!(state, DeltaState::NotPossible(_)), "{state:?} for {device:?}");
    }
    w.configure(DeltaSettings::default()).await;
    let state = w.ask(&ids[1], &device(1)).await;
    assert_eq!(state, DeltaState::NotPossible("deltas are not made"));
    assert_eq!(w.jobs().await, []);

    let small = DeltaConfig { max_image: 1000, ..DeltaConfig::default() };
    let w = World::with(Config { delta: small, ..Config::default() });
    let ids = w.versions(&[1, 2]).await;
    let state = w.ask(&ids[1], &device(1)).await;
    assert_eq!(state, DeltaState::NotPossible("has too large an image"));
}

#[tokio::test]
async fn a_delta_that_the_policy_refuses_fails() {
    let w = World::new();
    let ids = w.versions(&[1, 2]).await;
    w.artifacts().trust(&w.ctx, Policy::Signed, &[]).await.unwrap();
    let job = w.job(w.ask(&ids[1], &device(1)).await).await;
    w.mender.drain().await.unwrap();
    let state = w.ask(&ids[1], &device(1)).await;
    assert_eq!(state, DeltaState::Failed(job.id.clone()));
    let job = w.job(state).await;
    assert_eq!(job.status, DeltaStatus::Failed);
    assert_eq!(texts(&job).last(), Some(&"the artifact is not signed"));
    assert!(job.finished.is_some());
    // A user may try again; a device does not.
    w.artifacts().trust(&w.ctx, Policy::Any, &[]).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(w.ask(&ids[1], &device(1)).await, DeltaState::Failed(job.id.clone()));
    let again = w.artifacts().make_delta(&w.ctx, ("v1", "v2"), Some("pump")).await.unwrap();
    assert_ne!(again.id, job.id);
    w.pass(Duration::from_secs(60)).await;
    assert!(matches!(w.ask(&ids[1], &device(1)).await, DeltaState::Ready(_)));
}

#[tokio::test]
async fn an_image_that_is_another_than_it_says_makes_no_delta() {
    let w = World::new();
    let mut wrong = rootfs(1);
    wrong.payloads[0].provides_checksum = None;
    wrong.payloads[0].provides.insert("rootfs-image.checksum".into(), sum(b"other"));
    w.put(&wrong.build(&[&image(1)], None).unwrap()).await.unwrap();
    let ids = w.versions(&[2]).await;
    let mut device = device(1);
    device.insert("rootfs-image.checksum".into(), sum(b"other"));
    w.ask(&ids[0], &device).await;
    w.mender.drain().await.unwrap();
    let job = w.job(w.ask(&ids[0], &device).await).await;
    assert_eq!(texts(&job).last(), Some(&"the image has another checksum than it says"));
}

#[tokio::test]
async fn as_many_work_and_wait_as_may() {
    let w = World::new();
    let ids = w.versions(&[1, 2, 3, 4, 5]).await;
    let mut settings = enabled();
    settings.limits.jobs_in_parallel = DeltaRange { max: Some(1), ..DeltaRange::default() };
    settings.limits.queue_length = DeltaRange { max: Some(2), ..DeltaRange::default() };
    w.configure(settings.clone()).await;
    for (n, from) in [1, 2, 3].into_iter().enumerate() {
        w.time.advance(Duration::from_millis(5));
        let state = w.ask(&ids[4], &device(from)).await;
        assert!(matches!(state, DeltaState::Generating(_)), "{n}");
    }
    let state = w.ask(&ids[4], &device(4)).await;
    assert_eq!(state, DeltaState::NotPossible("too many deltas are being made"));
    let jobs = w.jobs().await;
    let may = |n: usize| deltas::may_start(&jobs[n], &jobs, &settings);
    assert_eq!([may(0), may(1), may(2)], [true, false, false]);
    for _ in 0..4 {
        w.pass(Duration::from_secs(31)).await;
    }
    let states: Vec<_> = w.jobs().await.iter().map(|job| job.status).collect();
    assert_eq!(states, [DeltaStatus::Success; 3]);
}

#[tokio::test]
async fn a_job_whose_worker_is_gone_is_taken_over_until_its_time_is_up() {
    let w = World::new();
    let ids = w.versions(&[1, 2, 3]).await;
    for (target, gone_for, expected) in [
        (&ids[1], Duration::from_secs(100), DeltaStatus::Pending),
        (&ids[1], Duration::from_secs(60), DeltaStatus::Success),
        (&ids[2], Duration::from_secs(7200), DeltaStatus::Failed),
    ] {
        let state = w.ask(target, &device(1)).await;
        let job = w.job(state).await;
        if job.status == DeltaStatus::Queued {
            // Somebody takes it, and is never seen again.
            let commit = deltas::start(job.clone(), w.artifacts().now());
            w.artifacts().commit_delta(&w.ctx, commit).await.unwrap();
        }
        w.pass(gone_for).await;
        let job = w.artifacts().delta_job(&w.ctx, &job.id).await.unwrap();
        assert_eq!(job.status, expected, "{:?}", texts(&job));
        let text = match expected {
            DeltaStatus::Success => "generation started again: its worker was gone",
            DeltaStatus::Failed => "generation timed out",
            _ => "generation started",
        };
        assert!(texts(&job).contains(&text), "{:?}", texts(&job));
    }
}

#[tokio::test]
async fn a_delta_that_is_there_already_ends_the_job() {
    let w = World::new();
    let ids = w.versions(&[1, 2]).await;
    w.ask(&ids[1], &device(1)).await;
    w.mender.drain().await.unwrap();
    let DeltaState::Ready(delta) = w.ask(&ids[1], &device(1)).await else { panic!() };
    // A worker was cut off after it stored the delta.
    let done = w.jobs().await.remove(0);
    let to = DeltaJob { status: DeltaStatus::Pending, delta: None, ..done.clone() };
    let commit = crate::commit::Commit::update(done, to);
    w.artifacts().commit_delta(&w.ctx, commit).await.unwrap();
    w.artifacts().put_delta_job(&w.ctx, &w.jobs().await[0].pair, "artifacts.delta").await.unwrap();
    w.pass(Duration::from_secs(300)).await;
    let job = w.jobs().await.remove(0);
    assert_eq!((job.status, job.delta), (DeltaStatus::Success, Some(delta)));
    assert_eq!(w.artifacts().release(&w.ctx, "v2").await.unwrap().artifacts.len(), 2);
}

#[tokio::test]
async fn jobs_leave_with_their_artifacts() {
    let w = World::new();
    let ids = w.versions(&[1, 2]).await;
    for nth in [2, 0] {
        w.ask(&ids[1], &device(1)).await;
        w.mender.drain().await.unwrap();
        assert_eq!(w.jobs().await.len(), 1);
        let delta = w.jobs().await[0].delta.clone().unwrap();
        let all = [ids[0].clone(), ids[1].clone(), delta];
        w.artifacts().delete_artifact(&w.ctx, &all[nth]).await.unwrap();
        assert_eq!(w.jobs().await, []);
    }
    w.versions(&[1]).await;
    let ids = w.versions(&[3]).await;
    w.ask(&ids[0], &device(1)).await;
    w.mender.forget_tenant(&w.ctx.tenant).await.unwrap();
    w.mender.drain().await.unwrap();
    assert_eq!(w.jobs().await, []);
}

#[tokio::test]
async fn others_may_end_a_job() {
    let w = World::new();
    let ids = w.versions(&[1, 2]).await;
    let job = w.job(w.ask(&ids[1], &device(1)).await).await;
    let end = async |id: &str, success| {
        w.artifacts().end_delta_job(&w.ctx, id, success).await.unwrap();
        w.jobs().await[0].status
    };
    assert_eq!(end("ghost", true).await, DeltaStatus::Queued);
    assert_eq!(end(&job.worker_id, false).await, DeltaStatus::Failed);
    assert_eq!(end(job.id.as_str(), true).await, DeltaStatus::Failed);
    w.mender.drain().await.unwrap();
    assert_eq!(w.jobs().await[0].status, DeltaStatus::Failed);
}

#[tokio::test]
async fn users_ask_for_deltas_by_releases() {
    let w = World::new();
    w.versions(&[1, 2]).await;
    let make = async |from, to, device_type| {
        w.artifacts().make_delta(&w.ctx, (from, to), device_type).await
    };
    assert_eq!(refusal(make("v1", "ghost", None).await).0, Kind::NotFound);
    assert_eq!(refusal(make("v1", "v2", Some("valve")).await).0, Kind::NotFound);
    assert_eq!(refusal(make("v1", "v1", None).await).0, Kind::Conflict);
    let job = make("v1", "v2", None).await.unwrap();
    assert_eq!(make("v1", "v2", Some("pump")).await.unwrap().id, job.id);
    w.mender.drain().await.unwrap();
    assert_eq!(refusal(make("v1", "v2", None).await).0, Kind::Conflict);
    let limited = w.limited(&["beta"]);
    let page = PageRequest::default();
    let hidden = w.artifacts().delta_jobs(&limited, &DeltaQuery::default(), page).await;
    assert_eq!(refusal(hidden).0, Kind::Forbidden);
    w.configure(DeltaSettings::default()).await;
    assert_eq!(refusal(make("v1", "v2", None).await).0, Kind::Forbidden);
}

#[tokio::test]
async fn devices_are_told_sizes_that_are_not_usual() {
    let w = World::new();
    let ids = w.versions(&[1, 2]).await;
    let mut settings = enabled();
    settings.args.source_window_size = Some(65536);
    settings.args.input_window_size = Some(32768);
    w.configure(settings).await;
    w.ask(&ids[1], &device(1)).await;
    w.mender.drain().await.unwrap();
    let DeltaState::Ready(delta) = w.ask(&ids[1], &device(1)).await else { panic!() };
    let meta = &w.known(&delta).await.content.payloads[0].meta_data;
    let expected = serde_json::json!(["-B65536", "-W32768", "-P262144", "-I32768"]);
    assert_eq!(meta["decoder_arguments"], expected);
}

#[tokio::test]
async fn settings_are_within_what_the_tool_does_and_the_tenant_allows() {
    let w = World::new();
    let choose = async |seen: Option<&str>, change: fn(&mut crate::artifacts::DeltaArgs)| {
        let mut args = Default::default();
        change(&mut args);
        w.artifacts().choose_delta_args(&w.ctx, args, seen).await.map_err(|error| error.kind)
    };
    let invalid = Err(Kind::Invalid { field: "delta" });
    assert_eq!(choose(None, |args| args.compression_level = Some(9)).await, Ok(()));
    assert_eq!(choose(None, |args| args.compression_level = Some(10)).await, invalid);
    assert_eq!(choose(None, |args| args.source_window_size = Some(100)).await, invalid);
    assert_eq!(choose(None, |args| args.input_window_size = Some(1 << 25)).await, invalid);
    let duplicates = |args: &mut crate::artifacts::DeltaArgs| {
        args.compression_duplicates_window = Some(3000);
    };
    assert_eq!(choose(None, duplicates).await, invalid);
    let etag = w.artifacts().delta_settings(&w.ctx).await.unwrap().unwrap().etag();
    assert_eq!(choose(Some("other"), |_| {}).await, Err(Kind::Conflict));
    assert_eq!(choose(Some(&etag), |_| {}).await, Ok(()));

    let mut settings = enabled();
    settings.limits.compression_level.max = Some(3);
    settings.timeout = Some(30);
    settings.limits.timeout.min = Some(60);
    let configure = async |settings: &DeltaSettings| {
        let done = w.artifacts().configure_deltas(&w.ctx, settings.clone(), None).await;
        done.map_err(|error| error.kind)
    };
    assert_eq!(configure(&settings).await, invalid);
    settings.timeout = Some(60);
    assert_eq!(configure(&settings).await, Ok(()));
    assert_eq!(choose(None, |args| args.compression_level = Some(4)).await, invalid);
    settings.enabled = false;
    assert_eq!(configure(&settings).await, Ok(()));
    assert_eq!(choose(None, |_| {}).await, Err(Kind::Forbidden));

    let none = DeltaConfig { enabled: false, ..DeltaConfig::default() };
    let w = World::with(Config { delta: none, ..Config::default() });
    assert_eq!(w.artifacts().delta_settings(&w.ctx).await.unwrap(), None);
    let args = crate::artifacts::DeltaArgs::default();
    let chosen = w.artifacts().choose_delta_args(&w.ctx, args, None).await;
    assert_eq!(refusal(chosen).0, Kind::NotFound);
}
