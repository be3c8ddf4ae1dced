use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    env::Time,
    id::{TenantId, UserId, Version},
};

crate::id! {
    /// Identifies a session; the `jti` of its token.
    SessionId;
}

/// Why a text is no e-mail address that we take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidEmail {
    /// There is none.
    Blank,
    /// It is longer than 256 characters.
    Long,
    /// It contains other characters than ASCII.
    NotAscii,
    /// It has another form.
    Malformed,
}

impl fmt::Display for InvalidEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "cannot be blank",
            Self::Long => "the length must be no more than 256",
            Self::NotAscii => "must contain ASCII characters only",
            Self::Malformed => "must be a valid email address",
        })
    }
}

impl std::error::Error for InvalidEmail {}

/// An e-mail address, in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Returns the address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        if text.is_empty() {
            return Err(InvalidEmail::Blank);
        }
        if text.chars().count() > 256 {
            return Err(InvalidEmail::Long);
        }
        if !text.is_ascii() {
            return Err(InvalidEmail::NotAscii);
        }
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let label = |s: &str| {
            !s.is_empty()
                && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !s.starts_with('-')
                && !s.ends_with('-')
        };
        let sound = text.rsplit_once('@').is_some_and(|(local, domain)| {
            local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
                && domain.split('.').all(label)
        });
        if sound { Ok(Self(text.to_ascii_lowercase())) } else { Err(InvalidEmail::Malformed) }
    }
}

/// That an account belongs to a tenant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// The names of the roles there; none means an administrator.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// A session: a log-in that has not ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The id, which its token names.
    pub id: SessionId,
    /// The tenant that the user works in.
    pub tenant: TenantId,
    /// When it began.
    pub issued: Time,
    /// When it ends by itself; `None`: never.
    pub expires: Option<Time>,
}

/// A user's account, with everything that must change together with it.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The id.
    pub id: UserId,
    /// The address that the user logs in with.
    pub email: Email,
    /// The hash of the password; empty: no log-in by password.
    pub password: String,
    /// The tenants, the default one first.
    pub memberships: Vec<Membership>,
    /// The sessions, oldest first.
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// When it was made.
    pub created: Time,
    /// When it last changed; sessions do not count.
    pub updated: Time,
    /// When the user last logged in.
    pub login: Option<Time>,
    /// The version.
    pub version: Version,
}

impl fmt::Debug for Account {
    /// Leaves out what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("email", &self.email)
            .field("memberships", &self.memberships)
            .field("sessions", &self.sessions)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// Tells whether the account belongs to the tenant.
    #[must_use]
    pub fn is_member(&self, tenant: &TenantId) -> bool {
        self.memberships.iter().any(|m| m.tenant == *tenant)
    }

    /// Returns a session that has not ended.
    #[must_use]
    pub fn session(&self, id: &SessionId, now: Time) -> Option<&Session> {
        let alive = |s: &&Session| s.id == *id && s.expires.is_none_or(|end| end > now);
        self.sessions.iter().find(alive)
    }
}

impl Aggregate for Account {
    const KIND: &'static str = "users.account";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "email", value: self.email.as_str().to_owned() }
    }

    fn index(&self) -> Vec<IndexKey> {
        let tenant = |m: &Membership| IndexKey::Field("tenant", m.tenant.to_string());
        self.memberships.iter().map(tenant).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_kept_in_lower_case() {
        assert_eq!("A.b+c@Ex-ample.COM".parse::<Email>().unwrap().as_str(), "a.b+c@ex-ample.com");
        for (bad, why) in [
            ("", InvalidEmail::Blank),
            ("ä@b.c", InvalidEmail::NotAscii),
            ("a", InvalidEmail::Malformed),
            ("a@", InvalidEmail::Malformed),
            ("@b.c", InvalidEmail::Malformed),
            ("a@b@c.d", InvalidEmail::Malformed),
            ("a b@c.d", InvalidEmail::Malformed),
            (&format!("{}@b.c", "a".repeat(256)), InvalidEmail::Long),
        ] {
            assert_eq!(bad.parse::<Email>(), Err(why), "{bad}");
        }
    }
}
