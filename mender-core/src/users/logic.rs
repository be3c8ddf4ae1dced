//! The rules of accounts and sessions, as pure functions from a state to a commit.

use crate::{
    commit::Commit,
    env::Time,
    error::{Error, Kind, Result},
    users::model::{Account, Email, Session, SessionId},
};

/// The kind of cached state that a change of an account spoils; the key is the user.
pub const TOPIC: &str = "users.account";

/// How many sessions a user may have; the oldest end first.
pub const MAX_SESSIONS: usize = 10;

/// Checks a password against the rules.
///
/// # Errors
/// `Invalid { password }` for the form, `Conflict` for what is too weak.
pub fn check_password(password: &str, email: &Email) -> Result<()> {
    let invalid = |what: &'static str| Err(Error::invalid("password", what));
    let weak = |what: &'static str| Err(Error::new(Kind::Conflict, what));
    match password {
        "" => invalid("cannot be blank"),
        p if p.chars().count() > 256 => invalid("the length must be no more than 256"),
        p if !p.is_ascii() => invalid("must contain ASCII characters only"),
        p if p.len() < 8 => weak("password: must be minimum 8 characters long"),
        p if email.as_str().contains(&p.to_ascii_lowercase()) => {
            weak("password is too similar to the email")
        }
        _ => Ok(()),
    }
}

/// Opens a session. Where there are too many, the oldest end; those of one second may stay.
pub fn log_in(was: &Account, session: Session, now: Time) -> Commit<Account> {
    let mut to = was.clone();
    to.login = Some(now);
    to.sessions.retain(|s| s.expires.is_none_or(|end| end > now));
    to.sessions.push(session);
    let ended = to.sessions.len().saturating_sub(MAX_SESSIONS);
    to.sessions.drain(..ended);
    Commit::update(was.clone(), to).invalidate(TOPIC, was.id.as_str()).quiet("a session")
}

/// Ends a session; one that has ended is no error.
pub fn log_out(was: &Account, id: &SessionId) -> Commit<Account> {
    if was.sessions.iter().all(|s| s.id != *id) {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.sessions.retain(|s| s.id != *id);
    Commit::update(was.clone(), to).invalidate(TOPIC, was.id.as_str()).quiet("a session")
}

/// Sets the password, and ends every session.
pub fn set_password(was: &Account, hash: String, now: Time) -> Commit<Account> {
    let mut to = was.clone();
    to.password = hash;
    to.sessions.clear();
    to.updated = now;
    Commit::update(was.clone(), to).invalidate(TOPIC, was.id.as_str()).quiet("told to nobody yet")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Version, users::model::Membership};

    fn account() -> Account {
        Account {
            id: "u".parse().unwrap(),
            email: "user@acme.com".parse().unwrap(),
            password: String::new(),
            memberships: vec![Membership { tenant: Default::default(), roles: vec![] }],
            sessions: vec![],
            created: Time(0),
            updated: Time(0),
            login: None,
            version: Version::FIRST,
        }
    }

    fn session(n: i64) -> Session {
        let id = format!("s{n}").parse().unwrap();
        Session { id, tenant: Default::default(), issued: Time(n), expires: None }
    }

    #[test]
    fn the_oldest_session_ends_first() {
        let mut account = account();
        for n in 0..15 {
            account = log_in(&account, session(n), Time(n)).aggregate().unwrap().clone();
        }
        assert_eq!(account.sessions.len(), MAX_SESSIONS);
        assert_eq!(account.sessions[0], session(5));
    }

    #[test]
    fn a_new_password_ends_every_session() {
        let with = log_in(&account(), session(1), Time(1)).aggregate().unwrap().clone();
        let to = set_password(&with, "hash".into(), Time(2));
        assert!(to.aggregate().unwrap().sessions.is_empty());
        assert_eq!(to.invalidates.len(), 1);
    }

    #[test]
    fn passwords_are_long_and_not_the_address() {
        let email: Email = "longuser@acme.com".parse().unwrap();
        for bad in ["", "short", "longuser", "LONGUSER@", "pässword12", &"x".repeat(257)] {
            assert!(check_password(bad, &email).is_err(), "{bad}");
        }
        assert!(check_password("correct horse", &email).is_ok());
    }
}
