//! Whether devices get what they should.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use mender_core::artifacts::format::{Limits, Parser};
use ring::digest::{Context, SHA256};

/// The SHA-256 of what the first device fetched, by path; the artifact was sound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks(Arc<Mutex<HashMap<String, [u8; 32]>>>);

/// A download under way.
pub(crate) struct Hashing {
    hash: Context,
    /// Looks into an artifact that nobody fetched yet; absent once it is found to be none.
    parser: Option<Box<Parser>>,
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashing").finish_non_exhaustive()
    }
}

impl Hashing {
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.hash.update(data);
        let pushed = self.parser.as_mut().map(|parser| parser.push(data));
        if pushed.is_some_and(|pushed| pushed.is_err()) {
            self.parser = None;
        }
    }
}

/// Returns a link without its signature, which differs for each device.
fn path(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

impl Checks {
    fn known(&self, uri: &str) -> Option<[u8; 32]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path(uri)).copied()
    }

    pub(crate) fn begin(&self, uri: &str) -> Hashing {
        let is_new = self.known(uri).is_none();
        let parser = is_new.then(|| Box::new(Parser::new(Limits::default())));
        Hashing { hash: Context::new(&SHA256), parser }
    }

    /// Tells whether a whole download is right.
    pub(crate) fn is_right(&self, uri: &str, hashing: Hashing) -> bool {
        let mut hash = [0; 32];
        hash.copy_from_slice(hashing.hash.finish().as_ref());
        if let Some(known) = self.known(uri) {
            return known == hash;
        }
        let is_sound = hashing.parser.is_some_and(|parser| parser.finish().is_ok());
        if is_sound {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(path(uri).to_owned(), hash);
        }
        is_sound
    }
}

#[cfg(test)]
mod tests {
    use mender_core::artifacts::format::{FileRecipe, Recipe, Software};

    use super::*;

    fn artifact() -> Vec<u8> {
        let files = vec![FileRecipe::new("file", 1)];
        let recipe = Recipe::module("script", "r", ["pump"], files, Some(&Software::default()));
        recipe.build(&[b"x"], None).unwrap()
    }

    fn fetch(checks: &Checks, uri: &str, bytes: &[u8]) -> bool {
        let mut hashing = checks.begin(uri);
        bytes.chunks(100).for_each(|chunk| hashing.push(chunk));
        checks.is_right(uri, hashing)
    }

    #[test]
    fn the_first_download_must_be_a_sound_artifact_and_the_others_the_same() {
        let (checks, good) = (Checks::default(), artifact());
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        assert!(!fetch(&checks, "http://x/1?sig=a", &bad));
        assert!(!fetch(&checks, "http://x/1?sig=a", &good[..good.len() - 600]));
        assert!(fetch(&checks, "http://x/1?sig=b", &good));
        assert!(fetch(&checks, "http://x/1?sig=c", &good));
        assert!(!fetch(&checks, "http://x/1?sig=d", &bad));
    }
}
