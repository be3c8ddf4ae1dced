//! Public keys that others present, and signatures made with them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use p224::ecdsa::signature::hazmat::PrehashVerifier as _;
use ring::{digest, signature as ring_signature};
use rsa::pkcs8::{ObjectIdentifier, SubjectPublicKeyInfoRef, der::Decode as _};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
const P224: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.33");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");

/// Why a text is no public key that we take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidKey {
    /// No PEM block of the right type, or something else in it.
    Undecodable(Option<String>),
    /// A key of another kind.
    Unrecognized,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecodable(None) => f.write_str("cannot decode public key"),
            Self::Undecodable(Some(why)) => write!(f, "cannot decode public key: {why}"),
            Self::Unrecognized => f.write_str("unrecognized public key type"),
        }
    }
}

impl std::error::Error for InvalidKey {}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Algorithm {
    Rsa,
    P224,
    P256,
    P384,
    P521,
    Ed25519,
}

/// A public key: RSA, ECDSA on P-224 to P-521, or Ed25519.
///
/// Two spellings of one key are equal: the PEM text is kept in its normal form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    pem: String,
    algorithm: Algorithm,
    key: Vec<u8>,
}

impl PublicKey {
    /// Reads the first PEM block, which must be a `PUBLIC KEY`; what stands around it is ignored.
    ///
    /// # Errors
    /// [`InvalidKey`] where it is none, or one of a kind that we do not take.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let block = pem::parse(text).map_err(|_| InvalidKey::Undecodable(None))?;
        if block.tag() != "PUBLIC KEY" {
            return Err(InvalidKey::Undecodable(None));
        }
        let bad = |why: &str| InvalidKey::Undecodable(Some(why.to_owned()));
        let info = SubjectPublicKeyInfoRef::from_der(block.contents())
            .map_err(|_| bad("not a subject public key info"))?;
        let key = info.subject_public_key.as_bytes().ok_or_else(|| bad("odd bits"))?;
        let algorithm = match info.algorithm.oid {
            RSA => Algorithm::Rsa,
            ED25519 => Algorithm::Ed25519,
            X25519 | DSA => return Err(InvalidKey::Unrecognized),
            EC => match info.algorithm.parameters_oid() {
                Ok(P224) => Algorithm::P224,
                Ok(P256) => Algorithm::P256,
                Ok(P384) => Algorithm::P384,
                Ok(P521) => Algorithm::P521,
                _ => return Err(bad("unsupported elliptic curve")),
            },
            _ => return Err(bad("unknown public key algorithm")),
        };
        if !is_sound(algorithm, key) {
            return Err(bad("malformed key"));
        }
        Ok(Self { pem: write_pem("PUBLIC KEY", block.contents()), algorithm, key: key.to_vec() })
    }

    /// Returns the key as PEM in its normal form.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.pem
    }

    /// Checks a signature in base64 over the message: PKCS #1 v1.5 with SHA-256 for RSA, ASN.1
    /// over SHA-256 for ECDSA, plain for Ed25519.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        // Compat: line breaks inside the base64 are ignored.
        let text: String = signature.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        STANDARD.decode(text).is_ok_and(|bytes| self.verify_bytes(message, &bytes))
    }

    fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        let ring = |algorithm: &'static dyn ring_signature::VerificationAlgorithm| {
            let key = ring_signature::UnparsedPublicKey::new(algorithm, &self.key);
            key.verify(message, signature).is_ok()
        };
        // Compat: bytes after the DER structure are ignored.
        let der = first_der(signature);
        let ecdsa = |algorithm: &'static dyn ring_signature::VerificationAlgorithm| {
            ring_signature::UnparsedPublicKey::new(algorithm, &self.key)
                .verify(message, der)
                .is_ok()
        };
        match self.algorithm {
            Algorithm::Rsa => ring(&ring_signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
            Algorithm::Ed25519 => ring(&ring_signature::ED25519),
            Algorithm::P256 => ecdsa(&ring_signature::ECDSA_P256_SHA256_ASN1),
            Algorithm::P384 => ecdsa(&ring_signature::ECDSA_P384_SHA256_ASN1),
            Algorithm::P224 => {
                let hash = digest::digest(&digest::SHA256, message);
                p224::ecdsa::VerifyingKey::from_sec1_bytes(&self.key).is_ok_and(|key| {
                    p224::ecdsa::Signature::from_der(der)
                        .is_ok_and(|s| key.verify_prehash(hash.as_ref(), &s).is_ok())
                })
            }
            Algorithm::P521 => {
                // The hash is shorter than half the field, which the crate refuses: widen it.
                let mut wide = [0; 66];
                wide[34..].copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
                p521::ecdsa::VerifyingKey::from_sec1_bytes(&self.key).is_ok_and(|key| {
                    p521::ecdsa::Signature::from_der(der)
                        .is_ok_and(|s| key.verify_prehash(&wide, &s).is_ok())
                })
            }
        }
    }
}

/// Cuts what follows the first DER structure.
fn first_der(bytes: &[u8]) -> &[u8] {
    let end = match bytes {
        [0x30, len @ 0..=0x7f, ..] => 2 + usize::from(*len),
        [0x30, 0x81, len, ..] => 3 + usize::from(*len),
        _ => bytes.len(),
    };
    &bytes[..end.min(bytes.len())]
}

/// Writes DER as PEM: lines of 64 characters, ended by a line feed.
pub(crate) fn write_pem(tag: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), config)
}

fn is_sound(algorithm: Algorithm, key: &[u8]) -> bool {
    // Uncompressed points only, as everybody writes them: 4, then both coordinates.
    let point = |bytes: usize| key.len() == 1 + 2 * bytes && key[0] == 4;
    match algorithm {
        Algorithm::Rsa => rsa::pkcs1::RsaPublicKey::from_der(key).is_ok(),
        Algorithm::Ed25519 => key.len() == 32 && !is_weak(key),
        Algorithm::P256 => point(32),
        Algorithm::P384 => point(48),
        Algorithm::P224 => p224::ecdsa::VerifyingKey::from_sec1_bytes(key).is_ok(),
        Algorithm::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(key).is_ok(),
    }
}

/// Tells whether an Ed25519 key is a point of small order: signatures that fit any message can be
/// made for those without a private key.
fn is_weak(key: &[u8]) -> bool {
    // The sign of the point, the last bit, makes no difference; the last two are other ways to
    // write the first two.
    const POINTS: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let mut point = key.to_vec();
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    POINTS.contains(&&*crate::env::hex(&point))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_kept_in_their_normal_form() {
        let odd = format!("my key\n{}\ntrailer", PEM.replace('\n', "\r\n"));
        assert_eq!(PublicKey::from_pem(&odd).unwrap().as_pem(), PEM);
    }

    #[test]
    fn other_keys_are_refused_by_their_kind() {
        let x25519 = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VuAyEAc8Lh3F8KvxQ+wU4YQf75+41t2o63AwfDhCZZGmBAKnA=\n\
            -----END PUBLIC KEY-----\n";
        assert_eq!(PublicKey::from_pem(x25519), Err(InvalidKey::Unrecognized));
        for bad in ["", "abc", &PEM.replace("PUBLIC KEY", "RSA PUBLIC KEY")] {
            assert_eq!(PublicKey::from_pem(bad), Err(InvalidKey::Undecodable(None)), "{bad}");
        }
        let cut = PEM.replace("wtrbLDFw4rXAxZuE=", "");
        assert!(matches!(PublicKey::from_pem(&cut), Err(InvalidKey::Undecodable(_))));
    }

    #[test]
    fn keys_that_anybody_can_sign_for_are_refused() {
        for (first, last) in [(0, 0), (1, 0), (1, 0x80), (0, 0x80)] {
            let mut der = head_of_ed25519();
            der.extend([&[first][..], &[0; 30], &[last]].concat());
            let weak = PublicKey::from_pem(&write_pem("PUBLIC KEY", &der));
            assert!(matches!(weak, Err(InvalidKey::Undecodable(Some(_)))));
        }
    }

    fn head_of_ed25519() -> Vec<u8> {
        vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0]
    }

    #[test]
    fn no_signature_fits_by_accident() {
        let key = PublicKey::from_pem(PEM).unwrap();
        for bad in ["", "!", "AAAA", &STANDARD.encode([0; 64])] {
            assert!(!key.verify(b"message", bad));
        }
    }
}
