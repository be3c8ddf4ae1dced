//! The rules of jobs that make deltas.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use crate::{
    artifacts::{
        format::{Content, Depend, File, FileRecipe, PayloadRecipe, Recipe, Script},
        model::{
            Artifact, ArtifactId, ArtifactSettings, DeltaArgs, DeltaJob, DeltaJobId, DeltaNote,
            DeltaRange, DeltaSettings, DeltaSizes, DeltaStatus, Release,
        },
        vcdiff::Encoding,
    },
    commit::Commit,
    env::Time,
    error::{Error, Kind, Result},
    id::Version,
};

/// What installs deltas.
pub const KIND: &str = "mender-binary-delta";

/// What installs images.
pub const IMAGE: &str = "rootfs-image";

/// What devices provide that run an image.
pub const CHECKSUM: &str = "rootfs-image.checksum";

/// What they provided once.
pub const OLD_CHECKSUM: &str = "rootfs_image_checksum";

/// How long whoever works on a job may be silent.
pub const LEASE: Duration = Duration::from_secs(120);

/// What is not of a payload in what an artifact provides and depends on.
const OF_ARTIFACTS: [&str; 3] = ["artifact_name", "artifact_group", "device_type"];

const SHOWN: &str = "jobs are only listed";

/// Returns the image of an artifact that contains nothing else.
///
/// # Errors
/// In words, why it is none.
pub fn image_of(content: &Content) -> Result<&File, &'static str> {
    let [payload] = content.payloads.as_slice() else { return Err("has several payloads") };
    let [file] = payload.files.as_slice() else { return Err("has no image") };
    if payload.kind.as_deref() != Some(IMAGE) {
        return Err("is no image of a root file system");
    }
    if content.version != 3 {
        return Err("is of an old version of the format");
    }
    Ok(file)
}

/// Returns the images of two releases that one type of devices has first, then the other: of this
/// type, or the only ones.
///
/// # Errors
/// `NotFound` where there are none, `Conflict` where there are several.
pub fn only_pair<'a>(
    from: &'a Release,
    to: &'a Release,
    device_type: Option<&str>,
) -> Result<(&'a Artifact, &'a Artifact)> {
    let is_for = |source: &Artifact, target: &Artifact| {
        let (types, others) = (&source.content.device_types, &target.content.device_types);
        types.iter().any(|t| others.contains(t) && device_type.is_none_or(|wanted| wanted == t))
    };
    let images = |artifact: &&Artifact| image_of(&artifact.content).is_ok();
    let mut pairs = from.artifacts.iter().filter(images).flat_map(|source| {
        let targets = to.artifacts.iter().filter(images);
        targets.filter(move |target| is_for(source, target)).map(move |target| (source, target))
    });
    match (pairs.next(), pairs.next()) {
        (Some(pair), None) => Ok(pair),
        (Some(_), Some(_)) => Err(Error::conflict("there are several images: name a device_type")),
        (None, _) => Err(Error::not_found("no images for the same devices")),
    }
}

/// Returns the key and the value of the checksum of the image that an artifact provides.
#[must_use]
pub fn checksum_of(content: &Content) -> Option<(&'static str, &str)> {
    let provided = |key| content.provides.get(key).map(|value| (key, value.as_str()));
    provided(CHECKSUM).or_else(|| provided(OLD_CHECKSUM))
}

/// Tells whether an artifact is the delta that makes one image of another.
#[must_use]
pub fn is_delta(artifact: &Artifact, source: &Content, target: &Content) -> bool {
    let Some((key, checksum)) = checksum_of(source) else { return false };
    let content = &artifact.content;
    let needs = content.depends.get(key).map(Depend::values);
    artifact.kinds().eq([KIND])
        && needs.is_some_and(|values| values.iter().any(|value| value == checksum))
        && content.device_types == target.device_types
}

/// A job that waits.
///
/// # Errors
/// `LimitReached` where as many wait as may. That is soft: a race may overshoot it.
pub fn queue(
    job: DeltaJob,
    open: &[DeltaJob],
    settings: &DeltaSettings,
) -> Result<Commit<DeltaJob>> {
    if !has_room(open, settings) {
        return Err(Error::new(Kind::LimitReached, "too many deltas are being made"));
    }
    Ok(Commit::insert(job).quiet(SHOWN))
}

/// Tells whether another job may wait beside those that do, and those that work.
#[must_use]
pub fn has_room(open: &[DeltaJob], settings: &DeltaSettings) -> bool {
    let (parallel, waiting) = settings.room();
    (open.len() as u64) < parallel.saturating_add(waiting)
}

/// Tells whether a job that waits may work now: as many work at a time as may, the first first.
#[must_use]
pub fn may_start(job: &DeltaJob, open: &[DeltaJob], settings: &DeltaSettings) -> bool {
    let is_before = |other: &&DeltaJob| match other.status {
        DeltaStatus::Pending => true,
        _ => (other.started, &other.id) < (job.started, &job.id),
    };
    (open.iter().filter(is_before).count() as u64) < settings.room().0
}

fn noted(job: &mut DeltaJob, at: Time, text: impl Into<String>) {
    if job.notes.len() >= DeltaJob::MAX_NOTES {
        // The first one tells who began.
        job.notes.remove(1);
    }
    job.notes.push(DeltaNote { at, text: text.into() });
}

/// Has somebody work on a job: one that waits, or whose worker is silent.
pub fn start(was: DeltaJob, now: Time) -> Commit<DeltaJob> {
    let mut to = was.clone();
    if was.status == DeltaStatus::Queued {
        (to.status, to.started) = (DeltaStatus::Pending, now);
        noted(&mut to, now, "generation started");
    } else {
        noted(&mut to, now, "generation started again: its worker was gone");
    }
    to.until = now + LEASE;
    Commit::update(was, to).quiet(SHOWN)
}

/// Shows that somebody works on a job, and what was done.
pub fn proceed(was: DeltaJob, done: Option<&str>, now: Time) -> Commit<DeltaJob> {
    let mut to = was.clone();
    to.until = now + LEASE;
    if let Some(done) = done {
        noted(&mut to, now, done);
    }
    Commit::update(was, to).quiet(SHOWN)
}

/// Leaves a job to another worker.
pub fn hand_over(was: DeltaJob, why: &str, now: Time) -> Commit<DeltaJob> {
    let mut to = was.clone();
    to.until = now;
    noted(&mut to, now, why);
    Commit::update(was, to).quiet(SHOWN)
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The artifact.
    pub delta: ArtifactId,
    /// Its bytes.
    pub delta_size: u64,
    /// The bytes of the image that it makes.
    pub target_size: u64,
}

/// Ends a job, in words where it failed; what has ended stays as it is.
pub fn finish(was: DeltaJob, made: Result<Option<Made>, &str>, now: Time) -> Commit<DeltaJob> {
    if !was.status.is_open() {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.finished = Some(now);
    to.status = match made {
        Ok(made) => {
            if let Some(Made { delta, delta_size, target_size }) = made {
                (to.delta, to.delta_size) = (Some(delta), Some(delta_size));
                to.target_size = Some(target_size);
            }
            noted(&mut to, now, "finished successfully");
            DeltaStatus::Success
        }
        Err(why) => {
            noted(&mut to, now, why);
            DeltaStatus::Failed
        }
    };
    Commit::update(was, to).quiet(SHOWN)
}

/// Returns what the artifact of a delta is, whose content are the bytes of the delta.
#[must_use]
pub fn recipe(
    source: &Content,
    (target, image, size): (&Content, &str, u64),
    scripts: Vec<Script>,
    (file, sizes): (FileRecipe, &DeltaSizes),
) -> Recipe {
    let of_payload = |key: &&String| !OF_ARTIFACTS.contains(&key.as_str());
    let values = |key: &str| -> Vec<String> {
        target.depends.get(key).map(|depend| depend.values().to_vec()).unwrap_or_default()
    };
    let mut provides: BTreeMap<String, String> = target.provides.clone();
    provides.retain(|key, _| of_payload(&key));
    provides.insert(CHECKSUM.to_owned(), image.to_owned());
    let mut depends = target.depends.clone();
    depends.retain(|key, _| of_payload(&key) && ![CHECKSUM, OLD_CHECKSUM].contains(&key.as_str()));
    depends.extend(
        checksum_of(source).map(|(key, sum)| (key.to_owned(), Depend::One(sum.to_owned()))),
    );
    let usual = ["artifact_group", OLD_CHECKSUM, "rootfs-image.*"].map(str::to_owned);
    let mut clears = target.clears.clone();
    clears.extend(usual.into_iter().filter(|pattern| !target.clears.contains(pattern)));
    let mut meta_data = serde_json::Map::new();
    meta_data.insert("delta_algorithm".into(), "xdelta3".into());
    meta_data.insert("rootfs_file_size".into(), size.into());
    let arguments = sizes.decoder_arguments();
    if !arguments.is_empty() {
        meta_data.insert("decoder_arguments".into(), arguments.into());
    }
    let payload = PayloadRecipe {
        kind: Some(KIND.to_owned()),
        files: vec![file],
        provides,
        provides_checksum: None,
        depends,
        clears,
        meta_data,
    };
    Recipe {
        group: target.provides.get("artifact_group").cloned(),
        depends_names: values("artifact_name"),
        depends_groups: values("artifact_group"),
        scripts,
        ..Recipe::new(&target.name, &target.device_types)
    }
    .payload(payload)
}

/// Configures how deltas are made from now on.
///
/// # Errors
/// `Invalid { delta }` for what no tool does or the own limits forbid; `Conflict` where what is
/// kept is not what was `seen`.
pub fn configure(
    was: Option<ArtifactSettings>,
    new: DeltaSettings,
    seen: Option<&str>,
    usual: &DeltaSettings,
    now: Time,
) -> Result<Commit<ArtifactSettings>> {
    check_seen(was.as_ref(), seen, usual)?;
    check_args(&new.args, &new)?;
    if let Some(timeout) = new.timeout {
        check_range("timeout", timeout, &new.limits.timeout, &(1..=86_400))?;
    }
    Ok(super::change_settings(was, now, "read where a delta is asked for", |to| {
        to.delta = Some(Box::new(new));
    }))
}

/// Chooses how deltas are encoded from now on.
///
/// # Errors
/// As [`configure`]; `NotFound` where nothing is configured, `Forbidden` where none are made.
pub fn choose_args(
    was: Option<ArtifactSettings>,
    args: DeltaArgs,
    seen: Option<&str>,
    usual: &DeltaSettings,
    now: Time,
) -> Result<Commit<ArtifactSettings>> {
    let own = was.as_ref().and_then(|settings| settings.delta.clone());
    let known = own.or_else(|| usual.enabled.then(|| Box::new(usual.clone())));
    let mut new = *known.ok_or_else(|| Error::not_found("no configuration"))?;
    if !new.enabled {
        return Err(Error::forbidden("delta generation is disabled"));
    }
    new.args = args;
    configure(was, new, seen, usual, now)
}

fn check_seen(
    was: Option<&ArtifactSettings>,
    seen: Option<&str>,
    usual: &DeltaSettings,
) -> Result<()> {
    let now = was.and_then(|settings| settings.delta.as_deref()).unwrap_or(usual);
    match seen {
        Some(seen) if seen != now.etag() => Err(Error::conflict("ETag does not match")),
        _ => Ok(()),
    }
}

fn check_range(what: &str, value: u64, own: &DeltaRange, tool: &RangeInclusive<u64>) -> Result<()> {
    let least = own.min.unwrap_or(0).max(*tool.start());
    let most = own.max.unwrap_or(u64::MAX).min(*tool.end());
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid("delta", format!("{what} must be between {least} and {most}")))
}

fn check_args(args: &DeltaArgs, settings: &DeltaSettings) -> Result<()> {
    let limits = &settings.limits;
    let all = [
        ("compression_level", args.compression_level, &limits.compression_level, 0..=9),
        (
            "source_window_size",
            args.source_window_size,
            &limits.source_window_size,
            Encoding::SOURCE_WINDOWS,
        ),
        (
            "input_window_size",
            args.input_window_size,
            &limits.input_window_size,
            Encoding::TARGET_WINDOWS,
        ),
        (
            "compression_duplicates_window",
            args.compression_duplicates_window,
            &limits.compression_duplicates_window,
            1..=*Encoding::TARGET_WINDOWS.end(),
        ),
        (
            "instruction_buffer_size",
            args.instruction_buffer_size,
            &limits.instruction_buffer_size,
            0..=1 << 30,
        ),
    ];
    for (what, value, own, tool) in all {
        if let Some(value) = value {
            check_range(what, value, own, &tool)?;
        }
    }
    let DeltaSizes { duplicates_window, input_window, .. } = settings.sizes();
    if args.compression_duplicates_window.is_some()
        && (!duplicates_window.is_power_of_two() || duplicates_window > input_window)
    {
        let what = "compression_duplicates_window must be a power of two within input_window_size";
        return Err(Error::invalid("delta", what));
    }
    Ok(())
}

/// A job about a pair of artifacts that nobody works on yet.
#[must_use]
pub fn new_job(
    (id, worker_id): (DeltaJobId, String),
    (source, target): (&Artifact, &Artifact),
    deployment: Option<String>,
    settings: &DeltaSettings,
    now: Time,
) -> DeltaJob {
    let note = DeltaNote { at: now, text: "generation job scheduled".into() };
    DeltaJob {
        pair: DeltaJob::pair(&source.id, &target.id),
        id,
        worker_id,
        source: source.id.clone(),
        target: target.id.clone(),
        from: source.content.name.clone(),
        to: target.content.name.clone(),
        device_types: target.content.device_types.clone(),
        deployment,
        sizes: settings.sizes(),
        patience: settings.patience(),
        status: DeltaStatus::Queued,
        started: now,
        finished: None,
        until: now,
        notes: vec![note],
        target_size: None,
        delta_size: None,
        delta: None,
        // The pair may come again: versions never repeat.
        version: Version(now.0),
    }
}
