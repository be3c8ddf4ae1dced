use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::SystemManifest;

/// What a device will provide: keys and values.
pub type Provides = BTreeMap<String, String>;

/// What a device has to provide.
pub type Depends = BTreeMap<String, Depend>;

/// The values of which a device has to provide one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Depend {
    /// This one.
    One(String),
    /// One of these.
    Any(Vec<String>),
}

impl Depend {
    /// Returns the values.
    #[must_use]
    pub fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Any(values) => values,
        }
    }
}

/// A file of a payload.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Its bare name.
    pub name: String,
    /// The SHA-256 of its content in lower-case hex.
    pub checksum: String,
    /// The bytes of its content.
    pub size: u64,
    /// When it was modified: seconds since 1970.
    pub modified: i64,
}

impl File {
    /// The time of a file that nobody told: the first second of the year 1.
    pub const NEVER: i64 = -62_135_596_800;
}

/// One of the things that an artifact installs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The name of what installs it; `None`: nothing is installed.
    pub kind: Option<String>,
    /// Its files, in the order of the manifest's entries.
    pub files: Vec<File>,
    /// What the installer is told beside the files.
    pub meta_data: Map<String, Value>,
}

/// What is known of an artifact without its files' content, but for a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The version of the format: 2 or 3.
    pub version: u32,
    /// The name that it gives to what is installed.
    pub name: String,
    /// The types of devices that it is for.
    pub device_types: Vec<String>,
    /// Whether it bears a signature, right or wrong.
    pub signed: bool,
    /// Its payloads, by index.
    pub payloads: Vec<Payload>,
    /// What a device will provide, the name and the group included; empty in version 2.
    pub provides: Provides,
    /// What a device has to provide, its type included.
    pub depends: Depends,
    /// Patterns of what a device ceases to provide.
    pub clears: Vec<String>,
    /// The names of its state scripts.
    pub scripts: Vec<String>,
    /// What its first payload for orchestrators says, where it was read and is a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Box<SystemManifest>>,
}
