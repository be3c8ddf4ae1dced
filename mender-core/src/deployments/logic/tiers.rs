//! What devices of which tier get.

use crate::{artifacts::Artifact, auth::Tier, deployments::model::Status};

/// The payload type of what orchestrators install.
pub const MANIFEST: &str = "mender-orchestrator-manifest";

fn is_manifest(artifact: &Artifact) -> bool {
    artifact.kinds().any(|kind| kind == MANIFEST)
}

fn is_too_big(artifact: &Artifact, micro_limit: Option<u64>) -> bool {
    micro_limit.is_some_and(|limit| artifact.size > limit)
}

/// Tells whether an artifact is not for every tier: which one a device has is worth asking.
#[must_use]
pub fn depends_on_tier(artifact: &Artifact, micro_limit: Option<u64>) -> bool {
    is_manifest(artifact) || is_too_big(artifact, micro_limit)
}

/// Returns how it ends for a device of a tier that must not get an artifact.
#[must_use]
pub fn misfit(artifact: &Artifact, tier: Tier, micro_limit: Option<u64>) -> Option<Status> {
    if is_manifest(artifact) && tier != Tier::System {
        return Some(Status::IncompatibleTier);
    }
    (tier == Tier::Micro && is_too_big(artifact, micro_limit)).then_some(Status::ArtifactTooBig)
}
