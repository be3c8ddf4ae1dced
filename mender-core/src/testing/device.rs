use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ring::{
    digest,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

use crate::{
    auth::{AuthRequest, Identity, Preauthorization, Tier},
    signature::{PublicKey, write_pem},
};

/// The DER of an Ed25519 public key up to its 32 bytes.
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// A device with an identity and an Ed25519 key that depends on a seed alone.
///
/// ```
/// use mender_core::{Mender, error::Kind, testing::TestDevice};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let mender = Mender::in_memory().build()?;
/// let device = TestDevice::new(r#"{"mac":"00:01"}"#, 1);
/// let refused = mender.auth().request("", &device.request()).await;
/// assert_eq!(refused.unwrap_err().kind, Kind::Unauthenticated);
/// # Ok::<_, mender_core::Error>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TestDevice {
    identity: Identity,
    pair: Ed25519KeyPair,
    key: PublicKey,
    tenant_token: Option<String>,
    tier: Tier,
}

impl TestDevice {
    /// A device with this identity, which is JSON text, and the key of this seed.
    ///
    /// # Panics
    /// Where the identity is no JSON object.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test double for constant input")]
    pub fn new(identity: &str, seed: u64) -> Self {
        let secret = digest::digest(&digest::SHA256, &seed.to_le_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(secret.as_ref()).expect("32 bytes");
        let der = [&ED25519_SPKI[..], pair.public_key().as_ref()].concat();
        let pem = write_pem("PUBLIC KEY", &der);
        Self {
            identity: Identity::parse(identity).expect("identity data is a JSON object"),
            key: PublicKey::from_pem(&pem).expect("a public key"),
            pair,
            tenant_token: None,
            tier: Tier::Standard,
        }
    }

    /// Has the device name its tenant.
    #[must_use]
    pub fn of_tenant(mut self, token: impl Into<String>) -> Self {
        self.tenant_token = Some(token.into());
        self
    }

    /// Has the device claim a tier.
    #[must_use]
    pub fn of_tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }

    /// Returns what the device says it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the public key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Signs bytes; the signature is in base64, as in `X-MEN-Signature`.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(body))
    }

    /// Returns the body of the device's authentication request, as on the wire.
    #[must_use]
    pub fn body(&self) -> Bytes {
        let mut body = json!({
            "id_data": self.identity.as_str(),
            "pubkey": self.key.as_pem(),
            "tier": self.tier.as_str(),
        });
        if let Some(token) = &self.tenant_token {
            body["tenant_token"] = Value::from(token.as_str());
        }
        body.to_string().into()
    }

    /// Returns the device's authentication request, signed.
    #[must_use]
    pub fn request(&self) -> AuthRequest {
        let body = self.body();
        AuthRequest {
            identity: self.identity.clone(),
            key: self.key.clone(),
            tenant_token: self.tenant_token.clone(),
            tier: self.tier,
            signature: self.sign(&body),
            body,
        }
    }

    /// Returns the announcement of the device by a user.
    #[must_use]
    pub fn preauthorization(&self, force: bool) -> Preauthorization {
        Preauthorization {
            identity: self.identity.clone(),
            key: self.key.clone(),
            tier: self.tier,
            force,
        }
    }
}
