use std::{fmt, io};

use serde_json::{Map, Value};

use super::{Compression, Depends, FormatError, Provides};

/// What an artifact to be written is, but for the content of its files.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The version of the format: 3, or 2 for rootfs images.
    pub version: u32,
    /// The name.
    pub name: String,
    /// The group that it gives to devices.
    pub group: Option<String>,
    /// The types of devices that it is for.
    pub device_types: Vec<String>,
    /// The names of which a device must have one; any, where there are none.
    pub depends_names: Vec<String>,
    /// The groups of which a device must have one; any, where there are none.
    pub depends_groups: Vec<String>,
    /// What it installs.
    pub payloads: Vec<PayloadRecipe>,
    /// What runs around the installation.
    pub scripts: Vec<Script>,
    /// How its archives are packed.
    pub compression: Compression,
    /// The time of its files: seconds since 1970.
    pub modified: u64,
}

/// What one payload to be written is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PayloadRecipe {
    /// The name of what installs it; `None`: nothing is installed.
    pub kind: Option<String>,
    /// Its files, in order.
    pub files: Vec<FileRecipe>,
    /// What it provides.
    pub provides: Provides,
    /// A key under which the checksum of the first file is provided as well.
    pub provides_checksum: Option<String>,
    /// What it depends on.
    pub depends: Depends,
    /// Patterns of what a device ceases to provide.
    pub clears: Vec<String>,
    /// What the installer is told.
    pub meta_data: Map<String, Value>,
}

/// A file to be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileRecipe {
    /// Its bare name.
    pub name: String,
    /// The number of its bytes.
    pub size: u64,
    /// Its permissions.
    pub mode: u32,
}

impl FileRecipe {
    /// A file that everybody may read.
    #[must_use]
    pub fn new(name: impl Into<String>, size: u64) -> Self {
        Self { name: name.into(), size, mode: 0o644 }
    }
}

/// A state script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// Its name, such as `ArtifactInstall_Enter_00`.
    pub name: String,
    /// What it does.
    pub content: Vec<u8>,
}

/// Why an artifact was not written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecipeError {
    /// What was asked for is no artifact that we read.
    Invalid(FormatError),
    /// A script whose name no device would run.
    Script(String),
    /// Something that the plain tar of devices can't express: names over 100 bytes, 8 GiB.
    Tar(String),
    /// Less content came than was announced.
    TooShort,
    /// More content came than was announced.
    TooLong,
    /// The content was not the same the second time.
    Changed,
    /// Packing failed; in words.
    Packing(String),
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Script(name) => write!(
                f,
                "\"{name}\" is no name of a script: it is a state such as ArtifactInstall, _Enter, \
                 _Leave or _Error, two digits, and may end in _ and a word"
            ),
            Self::Tar(name) => {
                write!(f, "{name} has too long a name, or 8 GiB or more, which devices don't read")
            }
            Self::TooShort => f.write_str("the content is shorter than announced"),
            Self::TooLong => f.write_str("the content is longer than announced"),
            Self::Changed => f.write_str("the content changed between two readings"),
            Self::Packing(why) => write!(f, "packing failed: {why}"),
        }
    }
}

impl std::error::Error for RecipeError {}

impl From<FormatError> for RecipeError {
    fn from(error: FormatError) -> Self {
        Self::Invalid(error)
    }
}

impl From<io::Error> for RecipeError {
    fn from(error: io::Error) -> Self {
        Self::Packing(error.to_string())
    }
}

impl Recipe {
    /// An artifact without payloads.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        device_types: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            version: 3,
            name: name.into(),
            group: None,
            device_types: device_types.into_iter().map(Into::into).collect(),
            depends_names: Vec::new(),
            depends_groups: Vec::new(),
            payloads: Vec::new(),
            scripts: Vec::new(),
            compression: Compression::default(),
            modified: 0,
        }
    }

    /// Adds a payload.
    #[must_use]
    pub fn payload(mut self, payload: PayloadRecipe) -> Self {
        self.payloads.push(payload);
        self
    }

    /// Packs it otherwise.
    #[must_use]
    pub fn packed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }
}
