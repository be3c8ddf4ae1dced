use std::fmt;

/// Why bytes are no artifact that we take.
///
/// The text of each is the cause that clients are shown after `reading artifact error: `.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FormatError {
    /// The bytes end inside of something.
    Truncated,
    /// Version 1, which nobody reads any more.
    RetiredVersion,
    /// A version that does not exist.
    UnsupportedVersion(i64),
    /// Content that is not what the manifest announces.
    Checksum {
        /// What the manifest says.
        expected: String,
        /// The SHA-256 of the content.
        actual: String,
    },
    /// A key that is given twice among what is provided, or among what is depended on.
    Conflict {
        /// The key.
        key: String,
    },
    /// What was parsed breaks a rule of the model: a name, a format, 1 to 200 device types.
    MetadataInvalid,
    /// More combinations of what is depended on than are kept.
    TooComplex,
    /// Something exceeds a limit; in words.
    TooLarge(String),
    /// Anything else, in words.
    Invalid(String),
}

impl FormatError {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    pub(super) fn too_large(text: impl Into<String>) -> Self {
        Self::TooLarge(text.into())
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("unexpected EOF"),
            Self::RetiredVersion => {
                f.write_str("reader: Mender-Artifact version 1 is no longer supported")
            }
            Self::UnsupportedVersion(version) => {
                write!(f, "reader: unsupported version: {version}")
            }
            Self::Checksum { expected, actual } => {
                write!(f, "invalid checksum; expected: [{expected}]; actual: [{actual}]")
            }
            // Compat: the text speaks of provides also where it is about depends.
            Self::Conflict { key } => {
                write!(f, "Conflicting keys not allowed in the provides parameters. key: {key}")
            }
            Self::MetadataInvalid => f.write_str("Metadata invalid"),
            Self::TooComplex => {
                f.write_str("object complexity (array permutations) exceeded threshold")
            }
            Self::TooLarge(text) | Self::Invalid(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for FormatError {}
