//! A store that a tenant brings.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The kind of a store that a tenant brings.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobStoreType {
    /// Amazon S3, or what speaks its protocol.
    #[default]
    S3,
    /// Azure Blob Storage.
    Azure,
}

/// How to reach and use a store that a tenant brings. Written with its secrets; they are never
/// printed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct BlobSettings {
    /// What kind of store it is.
    #[serde(rename = "type")]
    pub kind: BlobStoreType,
    /// The region of an S3 bucket.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// The bucket, or the container of Azure.
    pub bucket: String,
    /// The id of the access key, or the account of Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The secret of the access key, or the key of the account of Azure.
    #[serde(skip_serializing_if = "Option::is_none", with = "exposed")]
    pub secret: Option<Secret>,
    /// The address of the store; by default that of its vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The address of the S3 store for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_uri: Option<String>,
    /// The token of an S3 session.
    #[serde(skip_serializing_if = "Option::is_none", with = "exposed")]
    pub token: Option<Secret>,
    /// The address of a proxy that clients go through. It restores the host that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_uri: Option<String>,
    /// All there is to know about an Azure account; counts more than key, secret and address.
    #[serde(skip_serializing_if = "Option::is_none", with = "exposed")]
    pub connection_string: Option<Secret>,
    /// Whether the S3 bucket stands in the path of URLs instead of the host.
    pub force_path_style: bool,
    /// Whether Amazon's accelerated addresses are used, unless `uri` is set.
    pub use_accelerate: bool,
    /// Whether `uri` already names the S3 bucket, so that keys follow it at once.
    pub literal_bucket_uri: bool,
}

impl BlobSettings {
    /// An S3 bucket.
    #[must_use]
    pub fn s3(region: impl Into<String>, bucket: impl Into<String>) -> Self {
        Self { region: region.into(), bucket: bucket.into(), ..Self::default() }
    }

    /// A container of Azure.
    #[must_use]
    pub fn azure(container: impl Into<String>) -> Self {
        Self { kind: BlobStoreType::Azure, bucket: container.into(), ..Self::default() }
    }
}

/// Writes secrets as they are.
mod exposed {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::secret::Secret;

    pub(super) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_as_written() {
        let mut settings = BlobSettings::s3("eu-west-1", "bucket");
        (settings.key, settings.secret) = (Some("id".into()), Some(Secret::new("hidden")));
        let written = serde_json::to_value(&settings).unwrap();
        assert_eq!(written["secret"], "hidden");
        assert_eq!(serde_json::from_value::<BlobSettings>(written).unwrap(), settings);
        let least = json!({ "type": "azure", "bucket": "container" });
        let least: BlobSettings = serde_json::from_value(least).unwrap();
        assert_eq!(least, BlobSettings::azure("container"));
    }

    #[test]
    fn secrets_of_settings_do_not_print() {
        let mut settings = BlobSettings::azure("container");
        settings.secret = Some(Secret::new("hunter2"));
        settings.connection_string = Some(Secret::new("AccountKey=hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
