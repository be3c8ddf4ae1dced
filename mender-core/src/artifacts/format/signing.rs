use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use p256::ecdsa::{Signature, signature::hazmat::PrehashSigner as _};
use ring::digest::{SHA256, digest};
use rsa::{
    pkcs1::DecodeRsaPrivateKey as _,
    pkcs8::{DecodePrivateKey as _, ObjectIdentifier, SubjectPublicKeyInfoRef, der::Decode as _},
};

use crate::signature::PublicKey;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// What DER puts before a SHA-256 that RSA signs.
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Why nothing was signed, or why a signature does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignatureError {
    /// No private key that signs artifacts: RSA, or ECDSA on P-256.
    UnsupportedPrivateKey,
    /// No public key whose signatures devices verify.
    UnsupportedPublicKey,
    /// An ECDSA key on another curve than P-256.
    UnsupportedCurve,
    /// No base64.
    Undecodable,
    /// No length of an ECDSA signature.
    Length(usize),
    /// A signature by somebody else, or of something else.
    Wrong,
    /// The key can't sign: an RSA key that is too short, for instance.
    Failed,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnsupportedPrivateKey => "unsupported private key type",
            Self::UnsupportedPublicKey => "unsupported public key type",
            Self::UnsupportedCurve => "signer: invalid ecdsa curve size",
            Self::Undecodable => "signer: error decoding signature",
            Self::Length(length) => {
                return write!(
                    f,
                    "signer: invalid signature length: {length}. For ECDSA only P-256 is supported."
                );
            }
            Self::Wrong => "signer: verification failed",
            Self::Failed => "signer: the key can't sign",
        })
    }
}

impl std::error::Error for SignatureError {}

/// A private key that signs artifacts.
pub struct SigningKey(Private);

enum Private {
    Rsa(Box<rsa::RsaPrivateKey>),
    Ecdsa(p256::ecdsa::SigningKey),
}

impl SigningKey {
    /// Reads a private key that is not encrypted: PKCS #1, SEC 1 or PKCS #8.
    ///
    /// # Errors
    /// [`SignatureError::UnsupportedPrivateKey`] where it is none, or one of another kind.
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        let unsupported = SignatureError::UnsupportedPrivateKey;
        // OpenSSL writes the name of the curve as a block of its own before the key.
        let blocks = pem::parse_many(text).map_err(|_| unsupported.clone())?;
        let block = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY"));
        let block = block.ok_or(unsupported.clone())?;
        let der = block.contents();
        let ecdsa = |key: p256::SecretKey| Private::Ecdsa(key.into());
        let rsa = |key| Private::Rsa(Box::new(key));
        let key = match block.tag() {
            "RSA PRIVATE KEY" => rsa::RsaPrivateKey::from_pkcs1_der(der).map(rsa).ok(),
            "EC PRIVATE KEY" => p256::SecretKey::from_sec1_der(der).map(ecdsa).ok(),
            "PRIVATE KEY" => p256::SecretKey::from_pkcs8_der(der)
                .map(ecdsa)
                .ok()
                .or_else(|| rsa::RsaPrivateKey::from_pkcs8_der(der).map(rsa).ok()),
            _ => None,
        };
        key.map(Self).ok_or(unsupported)
    }

    /// Signs a manifest; returns the signature as it stands in the artifact.
    ///
    /// Two signatures of the same manifest are the same.
    ///
    /// # Errors
    /// [`SignatureError::Failed`]
    pub fn sign(&self, manifest: &[u8]) -> Result<String, SignatureError> {
        let hash = digest(&SHA256, manifest);
        let bytes = match &self.0 {
            Private::Rsa(key) => {
                let scheme = rsa::Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256_PREFIX.into() };
                // What is random only hides the key from those who measure time.
                let mut random = rsa::rand_core::OsRng;
                key.sign_with_rng(&mut random, scheme, hash.as_ref())
                    .map_err(|_| SignatureError::Failed)?
            }
            Private::Ecdsa(key) => {
                let signature: Signature =
                    key.sign_prehash(hash.as_ref()).map_err(|_| SignatureError::Failed)?;
                signature.to_bytes().to_vec()
            }
        };
        Ok(STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Verifies a signature of a manifest, as devices do.
///
/// # Errors
/// [`SignatureError`] where the key is of no use, or the signature does not hold.
pub fn verify(manifest: &[u8], signature: &str, key: &PublicKey) -> Result<(), SignatureError> {
    let signature = match algorithm(key)? {
        RSA => signature.to_owned(),
        _ => {
            let bytes = STANDARD.decode(signature).map_err(|_| SignatureError::Undecodable)?;
            match bytes.len() {
                64 => {
                    let raw = Signature::from_slice(&bytes).map_err(|_| SignatureError::Wrong)?;
                    STANDARD.encode(raw.to_der())
                }
                // Compat: signers in hardware give ASN.1.
                70..=72 => signature.to_owned(),
                length => return Err(SignatureError::Length(length)),
            }
        }
    };
    if key.verify(manifest, &signature) { Ok(()) } else { Err(SignatureError::Wrong) }
}

fn algorithm(key: &PublicKey) -> Result<ObjectIdentifier, SignatureError> {
    let unsupported = SignatureError::UnsupportedPublicKey;
    let block = pem::parse(key.as_pem()).map_err(|_| unsupported.clone())?;
    let info = SubjectPublicKeyInfoRef::from_der(block.contents());
    let info = info.map_err(|_| unsupported.clone())?;
    match info.algorithm.oid {
        RSA => Ok(RSA),
        EC if info.algorithm.parameters_oid().is_ok_and(|curve| curve == P256) => Ok(EC),
        EC => Err(SignatureError::UnsupportedCurve),
        _ => Err(unsupported),
    }
}

#[cfg(test)]
mod tests;
