use std::fmt;

use serde::{Deserialize, Serialize};

/// A tag of a release: lower-case letters, digits, `_`, `.` and `-`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// Why a text is no tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidTag {
    /// It is empty.
    Empty,
    /// It has more than 1024 bytes.
    Long,
    /// It has this character, which tags do not have.
    Character(char, String),
}

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("tag cannot be empty"),
            Self::Long => f.write_str("tag must be less than 1024 characters"),
            Self::Character(c, text) => write!(f, "invalid character '{c}' in string \"{text}\""),
        }
    }
}

impl std::error::Error for InvalidTag {}

impl Tag {
    /// How many bytes a tag may have.
    pub const MAX: usize = 1024;

    /// Reads a tag; capital letters become small ones.
    ///
    /// # Errors
    /// [`InvalidTag`] where the text is none.
    pub fn new(text: &str) -> Result<Self, InvalidTag> {
        let text = text.to_lowercase();
        if text.is_empty() {
            return Err(InvalidTag::Empty);
        }
        if text.len() > Self::MAX {
            return Err(InvalidTag::Long);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match text.chars().find(|c| !plain(*c)) {
            Some(c) => Err(InvalidTag::Character(c, text)),
            None => Ok(Self(text)),
        }
    }

    /// Returns the tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTag;

    fn try_from(text: String) -> Result<Self, InvalidTag> {
        Self::new(&text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}
