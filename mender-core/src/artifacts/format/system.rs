//! Manifests: what the orchestrator of a system installs on its components.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use super::Content;

/// What a system's components shall be, as a `manifest.yaml` says it. One that exists is valid.
///
/// ```
/// use mender_core::artifacts::format::SystemManifest;
///
/// let text = "
/// api_version: mender/v1
/// kind: manifest
/// name: system-core-v1
/// system_types_compatible: [system-core]
/// component_types:
///   gateway:
///     artifact_name: gateway-v1
///     update_strategy:
///       order: 10
/// ";
/// let manifest = SystemManifest::parse(text.as_bytes())?;
/// assert_eq!(manifest.component_types["gateway"].order, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SystemManifest {
    /// The name, also that of the artifact.
    pub name: String,
    /// The types of systems that it is for: the types of devices of the artifact.
    pub system_types: Vec<String>,
    /// What is to become of components, by their types.
    pub component_types: BTreeMap<String, Component>,
}

/// What is to become of the components of a type.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// The name of the artifact to install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_name: Option<String>,
    /// Where it is on the device, which counts before the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_path: Option<String>,
    /// Those with lower numbers are installed before, those with the same one side by side.
    pub order: u32,
}

/// Why a text is no manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidManifest(String);

impl fmt::Display for InvalidManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidManifest {}

/// How many characters names and types may have.
const MAX_NAME: usize = 256;

/// How many characters the name or the path of an artifact may have.
const MAX_ARTIFACT: usize = 4096;

/// How many types of systems there may be.
const MAX_TYPES: usize = 200;

/// How many types of components there may be.
const MAX_COMPONENTS: usize = 1000;

const API_VERSION: &str = "mender/v1";

const KIND: &str = "manifest";

/// A text of at least one, and of at most so many bytes.
struct Text<const MAX: usize>(String);

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Texts<const MAX: usize>;

        impl<const MAX: usize> Visitor<'_> for Texts<MAX> {
            type Value = Text<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a text of 1 to {MAX} bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text.is_empty() {
                    return Err(E::custom("cannot be blank"));
                }
                if text.len() > MAX {
                    return Err(E::custom(format!("the length must be between 1 and {MAX}")));
                }
                if text.contains(char::is_control) {
                    return Err(E::custom("control characters are not allowed"));
                }
                Ok(Text(text.to_owned()))
            }
        }

        from.deserialize_str(Texts)
    }
}

/// At most so many: an alias costs little where it is written, and more where it is read.
struct Few<T, const MAX: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Few<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Few<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of 1 to {MAX}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = from.next_element()? {
                    if items.len() == MAX {
                        return Err(A::Error::custom(format!("there may be at most {MAX}")));
                    }
                    items.push(item);
                }
                Ok(Few(items))
            }
        }

        from.deserialize_seq(Items(PhantomData))
    }
}

/// Components by their types, each once.
struct Components(BTreeMap<String, Component>);

impl<'de> Deserialize<'de> for Components {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Components;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "1 to {MAX_COMPONENTS} components by their types")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                let mut all = BTreeMap::new();
                while let Some(Text(key)) = from.next_key::<Text<MAX_NAME>>()? {
                    if all.len() == MAX_COMPONENTS {
                        let what = format!("there may be at most {MAX_COMPONENTS} components");
                        return Err(A::Error::custom(what));
                    }
                    let component = from.next_value::<GivenComponent>()?;
                    let component = component.read(&key).map_err(A::Error::custom)?;
                    if all.insert(key.clone(), component).is_some() {
                        return Err(A::Error::custom(format!("duplicate component `{key}`")));
                    }
                }
                Ok(Components(all))
            }
        }

        from.deserialize_map(Entries)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strategy {
    order: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenComponent {
    #[serde(default)]
    artifact_name: Option<Text<MAX_ARTIFACT>>,
    #[serde(default)]
    artifact_path: Option<Text<MAX_ARTIFACT>>,
    update_strategy: Strategy,
}

impl GivenComponent {
    fn read(self, of: &str) -> Result<Component, String> {
        let Self { artifact_name, artifact_path, update_strategy: Strategy { order } } = self;
        if artifact_name.is_none() && artifact_path.is_none() {
            return Err(format!("{of}: needs an artifact_name or an artifact_path"));
        }
        if !(1..=100).contains(&order) {
            return Err(format!("{of}: update_strategy.order must be between 1 and 100"));
        }
        let text = |text: Option<Text<MAX_ARTIFACT>>| text.map(|Text(text)| text);
        Ok(Component {
            artifact_name: text(artifact_name),
            artifact_path: text(artifact_path),
            order,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    api_version: Text<MAX_NAME>,
    kind: Text<MAX_NAME>,
    name: Text<MAX_NAME>,
    system_types_compatible: Few<Text<MAX_NAME>, MAX_TYPES>,
    component_types: Components,
}

impl SystemManifest {
    /// What installs the payload of an artifact with a manifest.
    pub const PAYLOAD: &str = "mender-orchestrator-manifest";

    /// The name of the file in artifacts that are made here.
    pub const FILE: &str = "manifest.yaml";

    /// How many bytes a manifest may have.
    pub const MAX: usize = 64 << 10;

    /// What the first key of every manifest says.
    pub const API_VERSION: &str = API_VERSION;

    /// What the second key of every manifest says.
    pub const KIND: &str = KIND;

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`InvalidManifest`] with what is wrong, and where.
    pub fn parse(yaml: &[u8]) -> Result<Self, InvalidManifest> {
        let invalid = |what: &str| Err(InvalidManifest(what.to_owned()));
        if yaml.len() > Self::MAX {
            return invalid(TOO_LONG);
        }
        let given: Given =
            serde_yaml_ng::from_slice(yaml).map_err(|why| InvalidManifest(why.to_string()))?;
        let Given { api_version, kind, name, system_types_compatible, component_types } = given;
        if api_version.0 != API_VERSION {
            return invalid("api_version: must be mender/v1");
        }
        if kind.0 != KIND {
            return invalid("kind: must be manifest");
        }
        if name.0.contains('/') {
            // No path would lead to it.
            return invalid("name: must not contain '/'");
        }
        let system_types: Vec<String> =
            system_types_compatible.0.into_iter().map(|Text(text)| text).collect();
        if system_types.is_empty() {
            return invalid("system_types_compatible: cannot be blank");
        }
        let Components(component_types) = component_types;
        if component_types.is_empty() {
            return invalid("component_types: cannot be blank");
        }
        let manifest = Self { name: name.0, system_types, component_types };
        // Aliases written out.
        if manifest.size() > Self::MAX { invalid(TOO_LONG) } else { Ok(manifest) }
    }

    /// The bytes of all of its texts.
    fn size(&self) -> usize {
        let component = |(key, component): (&String, &Component)| {
            let Component { artifact_name, artifact_path, order: _ } = component;
            let texts = [artifact_name, artifact_path].into_iter().flatten();
            key.len() + texts.map(String::len).sum::<usize>()
        };
        self.system_types.iter().map(String::len).sum::<usize>()
            + self.component_types.iter().map(component).sum::<usize>()
    }

    /// Checks that an artifact says of itself what the manifest in it does.
    pub(super) fn check(&self, content: &Content) -> Result<(), InvalidManifest> {
        if self.name != content.name {
            return Err(InvalidManifest("name: must be that of the artifact".into()));
        }
        let sorted = |types: &[String]| {
            let mut types = types.to_vec();
            types.sort();
            types
        };
        if sorted(&self.system_types) != sorted(&content.device_types) {
            let what = "system_types_compatible: must be the device types of the artifact";
            return Err(InvalidManifest(what.into()));
        }
        Ok(())
    }
}

const TOO_LONG: &str = "a manifest may have at most 65536 bytes";

/// The content of what should be a manifest, while it passes through.
#[derive(Default)]
pub(super) struct Kept(Vec<u8>);

impl Kept {
    /// Takes the next piece; no more than tells that it is too long.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let left = (SystemManifest::MAX + 1).saturating_sub(self.0.len());
        self.0.extend_from_slice(&piece[..piece.len().min(left)]);
    }

    /// Reads the manifest of an artifact that has been checked so far.
    pub(super) fn read(&self, content: &Content) -> Result<SystemManifest, InvalidManifest> {
        let manifest = SystemManifest::parse(&self.0)?;
        manifest.check(content)?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests;
