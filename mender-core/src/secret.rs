//! Secrets: kept as hashes, compared in constant time, never printed.

use std::fmt;

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use ring::digest;
use subtle::ConstantTimeEq;

use crate::env::{Env, hex};

/// A text that must not reach a log.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Compares without telling by the time taken where the texts differ.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Hashes a random token (not a password) for storage and look-up: SHA-256 in hex.
#[must_use]
pub fn token_hash(token: &str) -> String {
    hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

/// How dear a password hash is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes.
    pub passes: u32,
}

impl HashCost {
    /// The cost for real passwords: 19 MiB, 2 passes.
    pub const STRONG: Self = Self { memory: 19 * 1024, passes: 2 };
    /// The least that the algorithm allows; for tests.
    pub const CHEAPEST: Self = Self { memory: 8, passes: 1 };
}

/// Hashes a password with argon2id. Slow by design: call it off the async threads.
#[must_use]
pub fn hash_password(env: &Env, cost: HashCost, password: &str) -> String {
    let hash = || {
        let salt = SaltString::encode_b64(&env.bytes::<16>())?;
        let params = Params::new(cost.memory, cost.passes, 1, None)?;
        let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        argon.hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string())
    };
    // An empty hash matches no password.
    hash().unwrap_or_default()
}

/// Checks a password against its hash. Slow by design.
#[must_use]
pub fn check_password(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_fits() {
        let env = Env::system();
        let hash = hash_password(&env, HashCost::CHEAPEST, "correct horse");
        assert!(hash.starts_with("$argon2id$"));
        assert!(check_password(&hash, "correct horse"));
        assert!(!check_password(&hash, "wrong horse"));
        assert!(!check_password("", ""));
        assert_ne!(hash, hash_password(&env, HashCost::CHEAPEST, "correct horse"));
    }

    #[test]
    fn secrets_do_not_print() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
