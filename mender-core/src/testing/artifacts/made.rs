//! Releases and artifacts of the cases.

use crate::{
    artifacts::{
        Artifact, ArtifactSettings, DeltaSettings, Policy, Release, Retired, Tag, TrustedKey,
        Upload, UploadState, Work,
        format::{Content, Depend, Payload},
    },
    blob::BlobSettings,
    id::Version,
    testing::fixtures::{at, id},
};

/// An artifact of a release, for devices of the type `board`.
pub(in crate::testing) fn artifact(name: &str, of: &str) -> Artifact {
    let payload = Payload { kind: Some("rootfs-image".into()), ..Payload::default() };
    let content = Content {
        version: 3,
        name: of.to_owned(),
        device_types: Vec::new(),
        signed: false,
        payloads: vec![payload],
        provides: [("artifact_name".to_owned(), of.to_owned())].into(),
        depends: [].into(),
        clears: vec!["rootfs-image.*".into()],
        scripts: Vec::new(),
        system: None,
    };
    let artifact = Artifact {
        id: id(name),
        description: None,
        content,
        size: 1000,
        verification: None,
        stored: at(1),
        modified: at(2),
    };
    for_types(artifact, &["board"])
}

/// The artifact for devices of these types.
pub(in crate::testing) fn for_types(mut artifact: Artifact, types: &[&str]) -> Artifact {
    let types: Vec<String> = types.iter().map(|text| (*text).to_owned()).collect();
    artifact.content.device_types.clone_from(&types);
    artifact.content.depends.insert("device_type".into(), Depend::Any(types));
    artifact
}

/// The artifact with this description.
pub(in crate::testing) fn described(artifact: Artifact, text: &str) -> Artifact {
    Artifact { description: Some(text.to_owned()), ..artifact }
}

pub(in crate::testing) fn release(name: &str, artifacts: Vec<Artifact>) -> Release {
    Release {
        name: name.to_owned(),
        artifacts,
        tags: Vec::new(),
        notes: String::new(),
        modified: at(3),
        leaving: None,
        version: Version(at(0).0),
    }
}

/// The release with these tags.
#[expect(clippy::expect_used, reason = "a case that cannot be set up fails")]
pub(in crate::testing) fn tagged(release: Release, tags: &[&str]) -> Release {
    let tags = tags.iter().map(|tag| Tag::new(tag).expect("a tag")).collect();
    Release { tags, ..release }
}

pub(super) fn retired(name: &str) -> Retired {
    Retired { artifact: artifact(name, "gone"), at: at(5), version: Version(at(0).0) }
}

pub(super) fn upload(name: &str) -> Upload {
    Upload {
        id: id(name),
        work: Work::Stream,
        state: UploadState::Open,
        until: at(6),
        version: Version(at(0).0),
    }
}

pub(super) fn settings() -> ArtifactSettings {
    let version = Version(at(0).0);
    let mut settings = ArtifactSettings {
        policy: Policy::NoneWrong,
        version,
        storage: Some(BlobSettings::azure("cöntainer")),
        storage_limit: Some(1 << 40),
        ..ArtifactSettings::default()
    };
    let mut delta = DeltaSettings { enabled: true, timeout: Some(1), ..DeltaSettings::default() };
    delta.args.compression_level = Some(0);
    delta.limits.queue_length.max = Some(u64::MAX);
    settings.delta = Some(Box::new(delta));
    settings.keys.push(TrustedKey { name: "kéy".into(), pem: "-----BEGIN…\n".into() });
    settings.kinds.extend(["rootfs-image", "é😀 \u{7f}"].map(str::to_owned));
    settings
}
