//! Signed tokens and the keys that sign them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{self, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey},
};
use rsa::pkcs8::EncodePrivateKey;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    env::Env,
    error::{Error, Kind, Result},
    signature::write_pem,
};

/// Which kind of key to make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// Ed25519: small and fast, the default.
    Ed25519,
    /// RSA with 3072 bits, for tools that know nothing else.
    Rsa,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key of the server, with its public half.
pub struct Key {
    pair: Pair,
    number: i64,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The DER of a PKCS #8 Ed25519 key up to its 32 secret bytes.
const ED25519_PKCS8: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

impl Key {
    /// Reads a private key: PKCS #8 with Ed25519 or RSA, or PKCS #1. The number becomes the
    /// `kid` of tokens that carry one.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the text is no such key.
    pub fn from_pem(text: &str, number: i64) -> Result<Self> {
        let bad = |what: &'static str| Error::invalid("key", what);
        let block = pem::parse(text).map_err(|_| bad("failed to read private key: not PEM"))?;
        let der = block.contents();
        let pair = match block.tag() {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(der).ok().map(Pair::Rsa),
            "PRIVATE KEY" => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(Pair::Ed25519)
                .ok()
                .or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Pair::Rsa)),
            _ => None,
        };
        let pair = pair.ok_or_else(|| bad("unsupported server private key type"))?;
        Ok(Self { pair, number })
    }

    /// Makes a key and returns it as PEM. RSA takes seconds: call it off the async threads.
    ///
    /// # Errors
    /// [`Kind::Internal`] where no RSA key was found.
    pub fn generate(env: &Env, kind: KeyKind) -> Result<String> {
        match kind {
            KeyKind::Ed25519 => {
                let der = [&ED25519_PKCS8[..], &env.bytes::<32>()].concat();
                Ok(write_pem("PRIVATE KEY", &der))
            }
            KeyKind::Rsa => {
                let failed = |e| Error::new(Kind::Internal, "no RSA key made").because(e);
                let mut random = rsa::rand_core::OsRng;
                let key = rsa::RsaPrivateKey::new(&mut random, 3072)
                    .map_err(|e| failed(e.to_string()))?;
                let der = key.to_pkcs8_der().map_err(|e| failed(e.to_string()))?;
                Ok(write_pem("PRIVATE KEY", der.as_bytes()))
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::Rsa(_) => "RS256",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut bytes = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut bytes)
                    .map_err(|_| Error::internal("signing failed"))?;
                Ok(bytes)
            }
        }
    }

    fn fits(&self, algorithm: &str, message: &[u8], bytes: &[u8]) -> bool {
        let check = |scheme: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(scheme, key).verify(message, bytes).is_ok()
        };
        match (&self.pair, algorithm) {
            (Pair::Ed25519(pair), "EdDSA") => {
                check(&signature::ED25519, pair.public_key().as_ref())
            }
            // Compat: an RSA key checks every PKCS #1 v1.5 algorithm.
            (Pair::Rsa(pair), "RS256") => {
                check(&signature::RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
            }
            (Pair::Rsa(pair), "RS384") => {
                check(&signature::RSA_PKCS1_2048_8192_SHA384, pair.public_key().as_ref())
            }
            (Pair::Rsa(pair), "RS512") => {
                check(&signature::RSA_PKCS1_2048_8192_SHA512, pair.public_key().as_ref())
            }
            _ => false,
        }
    }
}

/// The keys of the server: one signs, all verify, so that keys can be changed without logging
/// anybody out.
#[derive(Debug)]
pub struct Keyring {
    signer: Key,
    others: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<i64>,
    #[serde(default)]
    typ: String,
}

/// Whether tokens name the number of their key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbered {
    /// The header has a `kid`, and only that key verifies: users' tokens.
    Yes,
    /// No `kid`; any key may verify: devices' tokens.
    No,
}

/// The parts of a token that nobody has verified yet.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    /// Splits a token at its two dots.
    #[must_use]
    pub fn of(token: &'a str) -> Option<Self> {
        let mut parts = token.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(Self { header, claims, signature })
    }

    /// Decodes the claims; nothing in them is proven.
    #[must_use]
    pub fn unverified<C: DeserializeOwned>(&self) -> Option<C> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(self.claims).ok()?).ok()
    }
}

impl Keyring {
    /// A ring with the key that signs.
    #[must_use]
    pub fn new(signer: Key) -> Self {
        Self { signer, others: Vec::new() }
    }

    /// Adds a key that only verifies: one that signed before, or a fallback.
    #[must_use]
    pub fn with_verifier(mut self, key: Key) -> Self {
        self.others.push(key);
        self
    }

    /// A ring with a new Ed25519 key that is kept nowhere: for tests and demonstrations.
    ///
    /// # Errors
    /// Never for this kind of key.
    pub fn ephemeral(env: &Env) -> Result<Self> {
        Key::from_pem(&Key::generate(env, KeyKind::Ed25519)?, 0).map(Self::new)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`Kind::Internal`] where the claims do not serialise.
    pub fn sign(&self, numbered: Numbered, claims: &impl Serialize) -> Result<String> {
        let kid = (numbered == Numbered::Yes).then_some(self.signer.number);
        let header = Header { alg: self.signer.algorithm().into(), kid, typ: "JWT".into() };
        let part = |json: serde_json::Result<Vec<u8>>| {
            json.map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
                .map_err(|e| Error::internal("claims do not serialise").because(e))
        };
        let header = part(serde_json::to_vec(&header))?;
        let message = [header, part(serde_json::to_vec(claims))?].join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.signer.sign(message.as_bytes())?);
        Ok([message, signature].join("."))
    }

    /// Returns the claims of a token with a valid signature. Their content is not judged.
    #[must_use]
    pub fn verify<C: DeserializeOwned>(&self, numbered: Numbered, token: &str) -> Option<C> {
        let parts = Parts::of(token)?;
        let header = URL_SAFE_NO_PAD.decode(parts.header).ok()?;
        let header: Header = serde_json::from_slice(&header).ok()?;
        let message = &token[..parts.header.len() + 1 + parts.claims.len()];
        let bytes = URL_SAFE_NO_PAD.decode(parts.signature).ok()?;
        let kid = header.kid.unwrap_or(0);
        std::iter::once(&self.signer)
            .chain(&self.others)
            .filter(|key| numbered == Numbered::No || key.number == kid)
            .any(|key| key.fits(&header.alg, message.as_bytes(), &bytes))
            .then(|| parts.unverified())?
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(kind: KeyKind, number: i64) -> Key {
        Key::from_pem(&Key::generate(&Env::system(), kind).unwrap(), number).unwrap()
    }

    #[test]
    fn tokens_verify_with_the_key_that_signed_them() {
        for kind in [KeyKind::Ed25519, KeyKind::Rsa] {
            let ring = Keyring::new(key(kind, 0));
            let token = ring.sign(Numbered::No, &json!({"sub": "x"})).unwrap();
            assert_eq!(ring.verify(Numbered::No, &token), Some(json!({"sub": "x"})));
            let other = Keyring::new(key(KeyKind::Ed25519, 0));
            assert_eq!(other.verify::<Value>(Numbered::No, &token), None);
        }
    }

    #[test]
    fn old_keys_verify_what_they_signed() {
        let pem = Key::generate(&Env::system(), KeyKind::Ed25519).unwrap();
        let old = Keyring::new(Key::from_pem(&pem, 1).unwrap());
        let token = old.sign(Numbered::Yes, &json!({})).unwrap();
        let new = Keyring::new(key(KeyKind::Ed25519, 2));
        assert_eq!(new.verify::<Value>(Numbered::Yes, &token), None);
        let both = new.with_verifier(Key::from_pem(&pem, 1).unwrap());
        assert!(both.verify::<Value>(Numbered::Yes, &token).is_some());
    }

    #[test]
    fn altered_tokens_do_not_verify() {
        let ring = Keyring::new(key(KeyKind::Ed25519, 0));
        let token = ring.sign(Numbered::No, &json!({"a": 1})).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let claims = URL_SAFE_NO_PAD.encode(r#"{"a":2}"#);
        for bad in [
            format!("{header}.{claims}.{signature}"),
            format!("{none}.{claims}."),
            format!("{token}.x"),
            message.to_owned(),
            String::new(),
        ] {
            assert_eq!(ring.verify::<Value>(Numbered::No, &bad), None, "{bad}");
        }
    }
}
