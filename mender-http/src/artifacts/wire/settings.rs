//! Storage and trusted keys of a tenant.

use mender_core::{
    TenantId,
    artifacts::{ArtifactSettings, Policy, TrustedKey},
    blob::{BlobSettings, BlobStoreType},
    secret::Secret,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;

use crate::{
    body::{FromBody, Item, JsonError, or_default},
    error::{ApiError, Faults},
};

/// A public key whose signatures are trusted.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub(in crate::artifacts) struct Key {
    /// What users call it.
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    /// The key as PEM: RSA, or ECDSA on P-256.
    #[serde(default, deserialize_with = "or_default")]
    key: String,
}

/// Which artifacts may be stored.
#[derive(Deserialize, Serialize, ToSchema)]
pub(in crate::artifacts) struct Verifying {
    /// `any`; `none_wrong`: unsigned ones, and those by a trusted key; `signed`: only those by one.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = String)]
    policy: Policy,
    /// The keys whose signatures are trusted.
    #[serde(default, deserialize_with = "or_default")]
    keys: Vec<Key>,
}

impl Verifying {
    pub(in crate::artifacts) fn of(settings: ArtifactSettings) -> Self {
        let key = |key: TrustedKey| Key { name: key.name, key: key.pem };
        Self { policy: settings.policy, keys: settings.keys.into_iter().map(key).collect() }
    }

    pub(in crate::artifacts) fn read(self) -> (Policy, Vec<TrustedKey>) {
        let key = |key: Key| TrustedKey { name: key.name, pem: key.key };
        (self.policy, self.keys.into_iter().map(key).collect())
    }
}

impl FromBody for Verifying {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("malformed JSON in request body: {error}"))
    }
}

/// Where the bytes of a tenant's artifacts are. Fields have a name of each kind of store.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(default)]
pub(in crate::artifacts) struct StorageSettings {
    /// `s3` or `azure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(alias = "container_name", skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    #[serde(alias = "account_name", skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(alias = "account_key", skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_string: Option<String>,
    force_path_style: bool,
    use_accelerate: bool,
    literal_bucket_uri: bool,
}

impl FromBody for Option<Item<StorageSettings>> {
    const TYPED: bool = false;
}

/// Notes what is wrong with the length of a text.
fn check(
    faults: &mut Faults,
    field: &'static str,
    text: Option<&String>,
    (min, max): (usize, usize),
    required: bool,
) {
    match text.map_or(0, String::len) {
        0 if required => faults.add(field, "cannot be blank"),
        0 => {}
        n if (min..=max).contains(&n) => {}
        _ => faults.add(field, format!("the length must be between {min} and {max}")),
    }
}

impl StorageSettings {
    pub(in crate::artifacts) fn of(settings: BlobSettings) -> Self {
        let exposed = |secret: Option<Secret>| secret.map(|secret| secret.expose().to_owned());
        let kind = match settings.kind {
            BlobStoreType::S3 => "s3",
            BlobStoreType::Azure => "azure",
        };
        Self {
            r#type: Some(kind.to_owned()),
            region: Some(settings.region).filter(|region| !region.is_empty()),
            bucket: Some(settings.bucket),
            key: settings.key,
            secret: exposed(settings.secret),
            uri: settings.uri,
            external_uri: settings.external_uri,
            token: exposed(settings.token),
            proxy_uri: settings.proxy_uri,
            connection_string: exposed(settings.connection_string),
            force_path_style: settings.force_path_style,
            use_accelerate: settings.use_accelerate,
            literal_bucket_uri: settings.literal_bucket_uri,
        }
    }

    /// Reads what is said; `None`: nothing is.
    pub(in crate::artifacts) fn read(self) -> Result<Option<BlobSettings>, ApiError> {
        if self == Self::default() {
            return Ok(None);
        }
        let kind = match self.r#type.as_deref().unwrap_or_default() {
            "" | "s3" => BlobStoreType::S3,
            "azure" => BlobStoreType::Azure,
            _ => return Err(ApiError::bad_request("storage type invalid")),
        };
        let is_s3 = kind == BlobStoreType::S3;
        let mut faults = Faults::default();
        let has_string = self.connection_string.as_ref().is_some_and(|text| !text.is_empty());
        let needs_key = is_s3 || !has_string;
        if is_s3 {
            check(&mut faults, "region", self.region.as_ref(), (5, 20), true);
        }
        check(&mut faults, "bucket", self.bucket.as_ref(), (5, 100), true);
        check(&mut faults, "key", self.key.as_ref(), (5, 50), needs_key);
        check(&mut faults, "secret", self.secret.as_ref(), (5, 100), needs_key);
        check(&mut faults, "uri", self.uri.as_ref(), (3, 2000), false);
        check(&mut faults, "external_uri", self.external_uri.as_ref(), (3, 2000), false);
        check(&mut faults, "token", self.token.as_ref(), (5, 100), false);
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let uri = text(self.uri);
        if self.literal_bucket_uri && uri.is_none() {
            faults.add("uri", "required when 'literal_bucket_uri' is set");
        }
        faults.check().map_err(|faults| {
            ApiError::bad_request(format!("invalid settings schema: {faults}"))
        })?;
        Ok(Some(BlobSettings {
            kind,
            region: self.region.unwrap_or_default(),
            bucket: self.bucket.unwrap_or_default(),
            key: text(self.key),
            secret: text(self.secret).map(Secret::new),
            use_accelerate: self.use_accelerate && uri.is_none(),
            uri,
            external_uri: text(self.external_uri),
            token: text(self.token).map(Secret::new),
            proxy_uri: text(self.proxy_uri),
            connection_string: text(self.connection_string).map(Secret::new),
            force_path_style: self.force_path_style,
            literal_bucket_uri: self.literal_bucket_uri,
        }))
    }
}

/// A limit and what is used of it, as other services read it.
#[derive(Serialize, ToSchema)]
pub(in crate::artifacts) struct TenantLimit {
    tenant_id: String,
    /// -1: there is none.
    limit: i64,
    current_value: i64,
    // Compat: the open edition documents it by this name.
    usage: i64,
}

impl TenantLimit {
    pub(in crate::artifacts) fn new(tenant: &TenantId, limit: i64, used: i64) -> Self {
        Self { tenant_id: tenant.to_string(), limit, current_value: used, usage: used }
    }
}

/// A limit to set.
#[derive(Deserialize, ToSchema)]
pub(in crate::artifacts) struct NewLimit {
    /// -1: there is none.
    #[serde(default)]
    pub(in crate::artifacts) limit: Option<i64>,
    /// What is stored counts.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    #[expect(dead_code, reason = "documents what clients say beside")]
    usage: IgnoredAny,
}

impl FromBody for NewLimit {
    const TYPED: bool = false;
}
