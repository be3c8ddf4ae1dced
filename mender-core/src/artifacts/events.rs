use serde::{Deserialize, Serialize};

use crate::{artifacts::model::ArtifactId, event::Fact};

/// What happens to artifacts and releases.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum ArtifactEvent {
    /// An artifact was stored.
    #[serde(rename = "artifact.stored")]
    Stored {
        /// The artifact.
        id: ArtifactId,
        /// Its name.
        name: String,
    },
    /// The description of an artifact changed.
    #[serde(rename = "artifact.described")]
    Described {
        /// The artifact.
        id: ArtifactId,
        /// Its name.
        name: String,
    },
    /// An artifact was removed.
    #[serde(rename = "artifact.removed")]
    Removed {
        /// The artifact.
        id: ArtifactId,
        /// Its name.
        name: String,
    },
    /// Tags or notes of a release changed.
    #[serde(rename = "release.annotated")]
    Annotated {
        /// Its name.
        name: String,
    },
}

impl Fact for ArtifactEvent {}
