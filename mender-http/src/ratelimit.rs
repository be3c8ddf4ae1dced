//! How many requests callers may make: fixed windows, counted in memory, by each node on its own.
//!
//! Off unless [`Settings::rate_limits`](crate::Settings) says otherwise. Limits are looked at when
//! a token has been verified, by the public listener and by the routes that verify for a gateway.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use mender_core::Env;
use ring::digest;

use crate::{error::ApiError, identity::Claims, path};

mod config;
mod pattern;
mod template;

pub use config::{Config, Group, Match, list};
use pattern::Pattern;
use template::Template;

/// The most callers that are counted in one window, at about 40 bytes each. Further ones pass.
const MAX_CALLERS: usize = 1_000_000;

/// Why limits can't be what settings say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidConfig(String);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ratelimits: {}", self.0)
    }
}

impl std::error::Error for InvalidConfig {}

/// The limits of both kinds of callers. Clones share their counters.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RateLimits {
    /// Those of devices; `None` is none.
    pub devices: Option<Arc<Limiter>>,
    /// Those of users; `None` is none.
    pub users: Option<Arc<Limiter>>,
}

impl RateLimits {
    /// Joins the limits of devices and of users.
    #[must_use]
    pub fn new(devices: Option<Limiter>, users: Option<Limiter>) -> Self {
        Self { devices: devices.map(Arc::new), users: users.map(Arc::new) }
    }
}

/// A request as limits see it: the original one, where a gateway asks for somebody else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
}

impl<'a> Asked<'a> {
    /// Reads which request a gateway means.
    pub(crate) fn forwarded(headers: &'a HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        let uri = text("x-forwarded-uri").unwrap_or_default();
        Self {
            method: text("x-forwarded-method").unwrap_or_default(),
            path: uri.split(['?', '#']).next().unwrap_or_default(),
        }
    }
}

/// Whether the caller's token was found valid.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Standing {
    Verified,
    Refused,
}

/// Counts requests and says when it is enough.
#[derive(Debug)]
pub struct Limiter {
    env: Env,
    reject_unmatched: bool,
    matches: Vec<(Pattern, Template)>,
    groups: HashMap<String, Counted>,
}

#[derive(Debug)]
struct Counted {
    quota: u64,
    interval_ms: i64,
    event: Template,
    window: Mutex<Window>,
}

/// The counters of the present window; all of a group end together.
#[derive(Debug, Default)]
struct Window {
    epoch: i64,
    // Invariant: those who present valid tokens are counted apart from those who only claim to
    // be somebody, so that nobody uses up another's quota, nor the room for counters.
    verified: HashMap<[u8; 16], u64>,
    refused: HashMap<[u8; 16], u64>,
}

impl Limiter {
    /// Makes a limiter.
    ///
    /// # Errors
    /// [`InvalidConfig`] for duplicates, for malformed patterns, and for expressions that are
    /// not supported.
    pub fn new(env: Env, config: &Config) -> Result<Self, InvalidConfig> {
        let bad = |what: &str, text: &str, why: String| {
            InvalidConfig(format!("invalid {what} '{text}': {why}"))
        };
        let mut matches: Vec<(Pattern, Template)> = Vec::new();
        for Match { api_pattern, group_expression } in &config.matches {
            let pattern =
                Pattern::parse(api_pattern).map_err(|why| bad("API pattern", api_pattern, why))?;
            if matches.iter().any(|(known, _)| *known == pattern) {
                let text = format!("duplicate API pattern: '{api_pattern}'");
                return Err(InvalidConfig(text));
            }
            let group = Template::parse(group_expression)
                .map_err(|why| bad("group expression", group_expression, why))?;
            matches.push((pattern, group));
        }
        matches.sort_by_key(|(pattern, _)| pattern.rank());
        let mut groups = HashMap::new();
        for group in &config.groups {
            let name = &group.name;
            let event = Template::parse(&group.event_expression)
                .map_err(|why| bad("event expression", &group.event_expression, why))?;
            let interval_ms = i64::try_from(group.interval.as_millis()).unwrap_or(i64::MAX);
            if interval_ms == 0 {
                return Err(InvalidConfig(format!("the interval of '{name}' is zero")));
            }
            let counted =
                Counted { quota: group.quota, interval_ms, event, window: Mutex::default() };
            if groups.insert(name.clone(), counted).is_some() {
                let text = format!("duplicate limit group name: '{name}'");
                return Err(InvalidConfig(text));
            }
        }
        Ok(Self { env, reject_unmatched: config.reject_unmatched, matches, groups })
    }

    /// Counts a request; the error is the answer to one too many.
    pub(crate) fn check(
        &self,
        caller: &Claims,
        asked: Asked<'_>,
        standing: Standing,
    ) -> Result<(), ApiError> {
        let raw = |_| asked.path.split('/').skip(1).map(Cow::Borrowed).collect();
        let segments = path::segments(asked.path).unwrap_or_else(raw);
        let found = self.matches.iter().find(|(pattern, _)| pattern.fits(asked.method, &segments));
        let group = found.and_then(|(_, group)| self.groups.get(&group.render(caller)));
        match group {
            Some(group) => group.count(caller, standing, self.env.now().0).map_err(refuse),
            None if self.reject_unmatched => Err(refuse(0)),
            None => Ok(()),
        }
    }
}

impl Counted {
    /// Counts a request; the error is how many milliseconds are left of the window.
    fn count(&self, caller: &Claims, standing: Standing, now: i64) -> Result<(), i64> {
        let event = self.event.render(caller);
        let mut key = [0; 16];
        key.copy_from_slice(&digest::digest(&digest::SHA256, event.as_bytes()).as_ref()[..16]);
        let epoch = now.div_euclid(self.interval_ms);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.epoch != epoch {
            *window = Window { epoch, ..Window::default() };
        }
        let counters = match standing {
            Standing::Verified => &mut window.verified,
            Standing::Refused => &mut window.refused,
        };
        let full = counters.len() >= MAX_CALLERS;
        let count = match counters.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if full => return Ok(()),
            Entry::Vacant(entry) => entry.insert(0),
        };
        *count = count.saturating_add(1);
        if *count > self.quota {
            Err(self.interval_ms - now.rem_euclid(self.interval_ms))
        } else {
            Ok(())
        }
    }
}

fn refuse(left_ms: i64) -> ApiError {
    let wait = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
    ApiError::too_many("too many requests", wait)
        // Compat: here alone without a charset.
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

#[cfg(test)]
mod tests;
