use serde::{Deserialize, Serialize};

use crate::{
    artifacts::{format::Payload, model::ArtifactId},
    commit::{Aggregate, IndexKey, Key},
    env::Time,
    id::Version,
};

/// What a single-file artifact is made of, beside the file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// The name of the artifact.
    pub name: String,
    /// What users say about it.
    pub description: String,
    /// The types of devices that it is for.
    pub device_types: Vec<String>,
    /// What the generator is told: JSON.
    pub args: String,
}

/// What a client says about an artifact that it put into the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// The size of all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its payloads, of which only the files count.
    pub payloads: Vec<Payload>,
}

/// How the bytes become an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// They come with the request that also reads them.
    Stream,
    /// They were put into the store by a client, and are read and copied.
    Verify,
    /// They were put into the store by a client, and only their headers are read.
    Trust(Described),
    /// They are a file that an artifact is made of.
    Generate(Generate),
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// The client has yet to say that it put the bytes.
    Open,
    /// The bytes are there, and wait for a worker.
    Ready,
    /// Somebody works on it.
    Running,
}

/// An artifact on its way: tells whose the bytes are until the artifact is known.
///
/// It is stored before the first byte, and deleted after the artifact is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// The id that the artifact will have.
    pub id: ArtifactId,
    /// How the bytes become an artifact.
    pub work: Work,
    /// How far it is.
    pub state: UploadState,
    /// Until when the client may put the bytes, or the worker has to show that it is alive.
    pub until: Time,
    /// The version.
    pub version: Version,
}

impl Aggregate for Upload {
    const KIND: &'static str = "artifacts.upload";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "id", value: self.id.to_string() }
    }

    fn index(&self) -> Vec<IndexKey> {
        Vec::new()
    }
}
