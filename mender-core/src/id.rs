//! Identifiers: text newtypes that cannot be confused with each other.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text is no identifier: empty, over 256 characters, or with control characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 1 to 256 characters, none of them a control character")
    }
}

impl std::error::Error for InvalidId {}

pub(crate) fn is_plain(text: &str, min: usize) -> bool {
    let len = text.chars().take(257).count();
    (min..=256).contains(&len) && !text.contains(char::is_control)
}

/// Declares id newtypes. Any text of 1 to 256 characters without control characters parses:
/// clients of the wire may have made their own.
#[macro_export]
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::id::parse(text, 1).map(Self)
            }
        }

        $crate::id!(@common $name);
    )+};
    (@common $name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

#[doc(hidden)]
pub fn parse(text: &str, min: usize) -> Result<Arc<str>, InvalidId> {
    if is_plain(text, min) { Ok(text.into()) } else { Err(InvalidId) }
}

id! {
    /// Identifies a device for its whole life; never reused. Any text parses; ours are UUIDv7.
    DeviceId;
    /// Identifies an event; UUIDv7, so events sort by age.
    EventId;
    /// Identifies one process that works on a store.
    NodeId;
    /// Identifies a user account.
    UserId;
}

/// Identifies a tenant. The single-tenant server uses the empty id, [`TenantId::default`].
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Returns the id as text, empty for the default tenant.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether this is the tenant of a single-tenant server.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self("".into())
    }
}

impl FromStr for TenantId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text, 0).map(Self)
    }
}

id!(@common TenantId);

/// The version of an aggregate: grows by one with every commit that changes it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Version(pub i64);

impl Version {
    /// The first version of an aggregate whose id is never used twice.
    pub const FIRST: Self = Self(1);

    /// Returns the version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        i64::deserialize(from).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_any_plain_text_and_nothing_else() {
        assert!("x".repeat(256).parse::<DeviceId>().is_ok());
        for bad in ["", "a\u{0}", "line\nbreak", &"x".repeat(257)] {
            assert_eq!(bad.parse::<DeviceId>(), Err(InvalidId), "{bad:?}");
        }
        assert!("".parse::<TenantId>().unwrap().is_default());
    }

    #[test]
    fn ids_are_plain_text_in_json() {
        let id: DeviceId = serde_json::from_str("\"a\\u00e9\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"aé\"");
        assert!(serde_json::from_str::<DeviceId>("\"\"").is_err());
    }
}
