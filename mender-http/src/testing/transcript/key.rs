//! Device keys of every kind that devices have.

use base64::{Engine, prelude::BASE64_STANDARD};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use ring::{digest, rand::SystemRandom, signature};
use rsa::rand_core::OsRng;

/// A kind of key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-224.
    P224,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// RSA with 2048 bits.
    Rsa,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Ed25519, Self::P224, Self::P256, Self::P384, Self::P521, Self::Rsa];

    /// Returns the kind that transcripts call so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ed25519" => Self::Ed25519,
            "p224" => Self::P224,
            "ecdsa" => Self::P256,
            "p384" => Self::P384,
            "p521" => Self::P521,
            "rsa" => Self::Rsa,
            _ => return None,
        })
    }
}

enum Private {
    Ed25519(signature::Ed25519KeyPair),
    P224(p224::SecretKey),
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    P521(p521::SecretKey),
    Rsa(Box<rsa::RsaPrivateKey>),
}

/// The key pair of a device.
pub struct Key {
    private: Private,
    public: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.public).finish()
    }
}

impl Key {
    /// Makes a key.
    ///
    /// # Panics
    ///
    /// Where the machine gives no randomness.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without keys can't go on")]
    pub fn generate(kind: KeyKind) -> Self {
        macro_rules! curve {
            ($name:ident, $krate:ident) => {{
                let key = $krate::SecretKey::random(&mut OsRng);
                let public = key.public_key().to_public_key_pem(LineEnding::LF);
                (Private::$name(key), public.expect("a key has a PEM form"))
            }};
        }
        let (private, public) = match kind {
            KeyKind::Ed25519 => ed25519(),
            KeyKind::P224 => curve!(P224, p224),
            KeyKind::P256 => curve!(P256, p256),
            KeyKind::P384 => curve!(P384, p384),
            KeyKind::P521 => curve!(P521, p521),
            KeyKind::Rsa => {
                let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).expect("randomness");
                let public = key.to_public_key().to_public_key_pem(LineEnding::LF);
                (Private::Rsa(Box::new(key)), public.expect("a key has a PEM form"))
            }
        };
        Self { private, public }
    }

    /// Returns the public key in PEM form.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public
    }

    /// Signs a body, as header `X-MEN-Signature` has it: over SHA-256, in base64.
    ///
    /// # Panics
    ///
    /// Never with keys made here.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without signatures can't go on")]
    pub fn sign(&self, body: &[u8]) -> String {
        let hash = digest::digest(&digest::SHA256, body);
        macro_rules! curve {
            ($krate:ident, $key:expr, $hash:expr) => {{
                use $krate::ecdsa::signature::hazmat::RandomizedPrehashSigner;
                let key = $krate::ecdsa::SigningKey::from_slice(&$key.to_bytes());
                let signed = key.expect("a valid key").sign_prehash_with_rng(&mut OsRng, $hash);
                let signature: $krate::ecdsa::Signature = signed.expect("a signature");
                signature.to_der().as_bytes().to_vec()
            }};
        }
        let bytes = match &self.private {
            Private::Ed25519(key) => key.sign(body).as_ref().to_vec(),
            Private::P224(key) => curve!(p224, key, hash.as_ref()),
            Private::P256(key) => curve!(p256, key, hash.as_ref()),
            Private::P384(key) => curve!(p384, key, hash.as_ref()),
            Private::P521(key) => {
                // The crate takes no hash below half the field: zeros in front change nothing.
                let mut padded = [0; 66];
                padded[34..].copy_from_slice(hash.as_ref());
                curve!(p521, key, &padded)
            }
            Private::Rsa(key) => {
                let info =
                    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
                let scheme = rsa::Pkcs1v15Sign { hash_len: Some(32), prefix: (*info).into() };
                key.sign(scheme, hash.as_ref()).expect("a signature")
            }
        };
        BASE64_STANDARD.encode(bytes)
    }
}

#[expect(clippy::expect_used, reason = "a test without keys can't go on")]
fn ed25519() -> (Private, String) {
    use signature::{Ed25519KeyPair, KeyPair};
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
    let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a fresh key");
    let mut der = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
    der.extend_from_slice(key.public_key().as_ref());
    let text = BASE64_STANDARD.encode(der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    (Private::Ed25519(key), pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_signs_what_its_public_key_verifies() {
        use p256::pkcs8::DecodePublicKey;
        for kind in KeyKind::ALL {
            let key = Key::generate(kind);
            let signature = BASE64_STANDARD.decode(key.sign(b"body")).unwrap();
            let hash = digest::digest(&digest::SHA256, b"body");
            let pem = key.public_pem();
            macro_rules! curve {
                ($krate:ident, $hash:expr) => {{
                    use $krate::ecdsa::signature::hazmat::PrehashVerifier;
                    let public = $krate::PublicKey::from_public_key_pem(pem).unwrap();
                    let key = $krate::ecdsa::VerifyingKey::from_affine(*public.as_affine());
                    let signature = $krate::ecdsa::Signature::from_der(&signature).unwrap();
                    key.unwrap().verify_prehash($hash, &signature).unwrap();
                }};
            }
            match kind {
                KeyKind::Ed25519 => {
                    let lines: String = pem.lines().filter(|l| !l.starts_with('-')).collect();
                    let der = BASE64_STANDARD.decode(lines).unwrap();
                    signature::UnparsedPublicKey::new(&signature::ED25519, &der[12..])
                        .verify(b"body", &signature)
                        .unwrap();
                }
                KeyKind::P224 => curve!(p224, hash.as_ref()),
                KeyKind::P256 => curve!(p256, hash.as_ref()),
                KeyKind::P384 => curve!(p384, hash.as_ref()),
                KeyKind::P521 => {
                    let mut padded = [0; 66];
                    padded[34..].copy_from_slice(hash.as_ref());
                    curve!(p521, &padded);
                }
                KeyKind::Rsa => {
                    use rsa::{pkcs1::EncodeRsaPublicKey, pkcs8::DecodePublicKey};
                    let public = rsa::RsaPublicKey::from_public_key_pem(pem).unwrap();
                    let der = public.to_pkcs1_der().unwrap();
                    let scheme = &signature::RSA_PKCS1_2048_8192_SHA256;
                    signature::UnparsedPublicKey::new(scheme, der.as_bytes())
                        .verify(b"body", &signature)
                        .unwrap();
                }
            }
        }
    }
}
