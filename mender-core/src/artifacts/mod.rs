//! Artifacts: the files that devices install, in releases.
//!
//! An *artifact* is one file in the [format](mod@format) that devices install. Artifacts of one name are a
//! *release*; each of them fits other devices: no two fit one that provides the same. Their bytes
//! are blobs; everything else is known from reading them once, when they arrive.
//!
//! A *manifest* says what the components of a system install. It is a release of one artifact, of
//! a [payload](format::SystemManifest::PAYLOAD) that only the orchestrators of systems take, and
//! shares the names with other releases, which are shown apart.
//!
//! An *upload* is an artifact on its way. It is stored before the first byte is, and tells whose
//! the bytes are until the artifact is known:
//!
//! | state | from | until |
//! |---|---|---|
//! | open | a client asks for a link | it says that the bytes are there, or the link expires |
//! | ready | the bytes are there | a worker takes them |
//! | running | somebody reads them | the artifact is stored, or the bytes are deleted |
//!
//! A *delta* is what makes the image of one artifact of that of another, in an artifact of its
//! own. A job makes it, one for each pair:
//!
//! | status | from | until |
//! |---|---|---|
//! | queued | a device or a user asks for it | as many others work as may |
//! | pending | somebody works on it | |
//! | success | the delta is stored | one of the three artifacts leaves its release |
//! | failed | there can be none, or it took too long | the same, or a user asks again |
//!
//! What a deployment used stays readable as *retired* when it leaves its release.

pub mod delta;
mod events;
pub mod format;
pub mod logic;
mod model;
mod query;
mod react;
mod service;
mod store;
pub mod vcdiff;

pub use events::ArtifactEvent;
pub use logic::Taken;
pub use model::{
    Artifact, ArtifactId, ArtifactSettings, DeltaArgs, DeltaJob, DeltaJobId, DeltaLimits,
    DeltaNote, DeltaRange, DeltaSettings, DeltaSizes, DeltaStatus, Described, Generate, InvalidTag,
    MAX_COMBINATIONS, Policy, Release, Retired, Tag, TrustedKey, Upload, UploadState, Verification,
    Work,
};
pub use query::{
    ArtifactQuery, ArtifactSort, DeltaQuery, DeltaSort, ReleaseKind, ReleaseQuery, ReleaseSort,
    Text, fold,
};
pub use service::{
    Config, DeltaConfig, DeltaRequest, DeltaState, Linked, MAX_MANIFEST_ARTIFACT, NewArtifact,
    NewManifest, STORAGE_PATH, Service, Storage, blob_of, raw_of,
};
pub(crate) use service::{Deltas, Parts, Sweep, Usage, Watch};
pub use store::Store;
