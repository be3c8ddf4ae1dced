//! The keys of devices, made from a secret when they are needed: a fleet keeps none in memory.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use ring::{
    digest::{Context, SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use rsa::rand_core::{CryptoRng, Error, RngCore, impls};

/// The DER of an Ed25519 public key up to its 32 bytes.
const ED25519_SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// The DER of a SHA-256 hash up to its 32 bytes.
const SHA256_INFO: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// To make an RSA key takes long: devices share so many of them.
const RSA_KEYS: usize = 2;

/// How many devices of a thousand have other keys than Ed25519.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeyShares {
    /// RSA with 2048 bits.
    pub rsa: u16,
    /// ECDSA on P-256.
    pub ecdsa: u16,
}

/// The keys of a fleet: each device's follows from a secret and its identity.
///
/// ```
/// use mender_http::simulate::Keyring;
///
/// let (keys, same) = (Keyring::seeded(7), Keyring::seeded(7));
/// let key = keys.key(r#"{"mac":"02:00:00:00:00:01"}"#);
/// assert!(key.public_pem().starts_with("-----BEGIN PUBLIC KEY-----"));
/// assert_eq!(key.public_pem(), same.key(r#"{"mac":"02:00:00:00:00:01"}"#).public_pem());
/// assert_ne!(key.public_pem(), keys.key(r#"{"mac":"02:00:00:00:00:02"}"#).public_pem());
/// ```
#[derive(Clone)]
pub struct Keyring {
    secret: [u8; 32],
    shares: KeyShares,
    rsa: Arc<OnceLock<Vec<(rsa::RsaPrivateKey, String)>>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("shares", &self.shares).finish_non_exhaustive()
    }
}

/// A device's key.
pub struct DeviceKey<'a> {
    private: Private<'a>,
    public: String,
}

enum Private<'a> {
    Ed25519(Ed25519KeyPair),
    P256(p256::ecdsa::SigningKey),
    Rsa(&'a rsa::RsaPrivateKey),
}

impl fmt::Debug for DeviceKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceKey").field(&self.public).finish()
    }
}

/// Bytes that follow from a secret.
struct Stream([u8; 32], u64);

impl RngCore for Stream {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        for chunk in to.chunks_mut(32) {
            self.1 += 1;
            chunk.copy_from_slice(&derived(&self.0, &self.1.to_le_bytes())[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(to);
        Ok(())
    }
}

impl CryptoRng for Stream {}

fn derived(secret: &[u8; 32], of: &[u8]) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(secret);
    hash.update(of);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}

impl Keyring {
    /// The keys that follow from a number. Whoever knows it knows them all.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::secret(derived(&[0; 32], &seed.to_le_bytes()))
    }

    /// The keys that follow from a secret.
    #[must_use]
    pub fn secret(secret: [u8; 32]) -> Self {
        Self { secret, shares: KeyShares::default(), rsa: Arc::default() }
    }

    /// Gives some devices other kinds of keys.
    #[must_use]
    pub fn shares(self, shares: KeyShares) -> Self {
        Self { shares, ..self }
    }

    /// Returns the key of the device with this identity.
    #[must_use]
    pub fn key(&self, identity: &str) -> DeviceKey<'_> {
        let own = derived(&self.secret, identity.as_bytes());
        let dice = u16::from_le_bytes([own[0], own[1]]) % 1000;
        let KeyShares { rsa, ecdsa } = self.shares;
        if dice < rsa {
            let all = self.rsa.get_or_init(|| rsa_keys(&self.secret));
            let (key, public) = &all[usize::from(own[2]) % all.len()];
            return DeviceKey { private: Private::Rsa(key), public: public.clone() };
        }
        if dice < rsa.saturating_add(ecdsa) {
            return ecdsa_key(&own);
        }
        ed25519_key(&own)
    }
}

#[expect(clippy::expect_used, reason = "it fails with broken randomness alone; this is computed")]
fn rsa_keys(secret: &[u8; 32]) -> Vec<(rsa::RsaPrivateKey, String)> {
    let mut stream = Stream(derived(secret, b"rsa"), 0);
    let make = |_| {
        let key = rsa::RsaPrivateKey::new(&mut stream, 2048).expect("randomness");
        let public = key.to_public_key().to_public_key_pem(LineEnding::LF);
        (key, public.expect("a key has a PEM form"))
    };
    (0..RSA_KEYS).map(make).collect()
}

#[expect(clippy::expect_used, reason = "every key has a PEM form")]
fn ecdsa_key(own: &[u8; 32]) -> DeviceKey<'static> {
    // All but one of 2^32 texts are a key.
    let keys = (0_u8..).map(|n| p256::SecretKey::from_slice(&derived(own, &[n])));
    let key = keys.flatten().next().expect("some text is a key");
    let public = key.public_key().to_public_key_pem(LineEnding::LF);
    DeviceKey { private: Private::P256(key.into()), public: public.expect("a PEM form") }
}

#[expect(clippy::expect_used, reason = "any 32 bytes are a key")]
fn ed25519_key(own: &[u8; 32]) -> DeviceKey<'static> {
    let key = Ed25519KeyPair::from_seed_unchecked(own).expect("32 bytes");
    let text = BASE64_STANDARD.encode([ED25519_SPKI, key.public_key().as_ref()].concat());
    let public = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    DeviceKey { private: Private::Ed25519(key), public }
}

impl DeviceKey<'_> {
    /// Returns the public key in PEM form.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public
    }

    /// Signs a body, as header `X-MEN-Signature` has it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "keys that are made here can sign")]
    pub fn sign(&self, body: &[u8]) -> String {
        use p256::ecdsa::signature::hazmat::PrehashSigner as _;
        let hash = digest(&SHA256, body);
        let bytes = match &self.private {
            Private::Ed25519(key) => key.sign(body).as_ref().to_vec(),
            Private::P256(key) => {
                let signed: p256::ecdsa::Signature =
                    key.sign_prehash(hash.as_ref()).expect("a signature");
                signed.to_der().as_bytes().to_vec()
            }
            Private::Rsa(key) => {
                let scheme = rsa::Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256_INFO.into() };
                key.sign(scheme, hash.as_ref()).expect("a signature")
            }
        };
        BASE64_STANDARD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use mender_core::signature::PublicKey;

    use super::*;

    #[test]
    fn every_kind_signs_what_its_public_key_verifies() {
        let kinds = [(0, 0, 44), (0, 1000, 91), (1000, 0, 294)];
        for (rsa, ecdsa, length) in kinds {
            let keys = Keyring::seeded(1).shares(KeyShares { rsa, ecdsa });
            for identity in ["a", "b", "c"] {
                let key = keys.key(identity);
                let lines: String =
                    key.public_pem().lines().filter(|line| !line.starts_with('-')).collect();
                assert_eq!(BASE64_STANDARD.decode(lines).unwrap().len(), length);
                let public = PublicKey::from_pem(key.public_pem()).unwrap();
                assert!(public.verify(b"body", &key.sign(b"body")));
                assert!(!public.verify(b"other", &key.sign(b"body")));
            }
        }
    }

    #[test]
    fn kinds_are_shared_out_as_asked() {
        let keys = Keyring::seeded(1).shares(KeyShares { rsa: 0, ecdsa: 300 });
        let is_ecdsa = |n: &u32| matches!(keys.key(&n.to_string()).private, Private::P256(_));
        let count = (0..1000).filter(is_ecdsa).count();
        assert!((250..350).contains(&count), "{count}");
    }
}
