//! Where the servers are, and who may use them.

use std::fmt;

use async_nats::{ConnectOptions, ServerAddr};
use mender_core::{StoreError, StoreResult, secret::Secret};
use percent_encoding::percent_decode_str;

/// What a URL says.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) servers: Vec<ServerAddr>,
    /// As the URL has them, for people.
    hosts: String,
    tls: bool,
    login: Login,
}

#[derive(Clone)]
enum Login {
    Nobody,
    Token(Secret),
    User(String, Secret),
}

impl fmt::Display for Address {
    /// Leaves out who logs in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hosts)
    }
}

fn wrong<T>(what: impl Into<String>) -> StoreResult<T> {
    Err(StoreError::unavailable(what.into()))
}

fn decoded(text: &str) -> StoreResult<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).or_else(|_| wrong("the login in the URL of NATS is not UTF-8"))
}

/// Invariant: no message here quotes what stands before an `@`.
impl Address {
    /// Reads `nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][,HOST…]`, or `tls://…`.
    pub(super) fn parse(url: &str) -> StoreResult<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        if !matches!(scheme, "nats" | "tls") {
            return wrong("the URL of NATS begins with nats:// or tls://");
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, hosts) = match rest.rsplit_once('@') {
            None => (Login::Nobody, rest),
            Some((login, _)) if login.contains(['@', '/', ',']) => {
                return wrong(
                    "in the URL of NATS one login stands before all hosts; in it @ is %40, / is \
                     %2F and a comma is %2C",
                );
            }
            Some((login, hosts)) => match login.split_once(':') {
                None => (Login::Token(Secret::new(decoded(login)?)), hosts),
                Some((user, password)) => {
                    (Login::User(decoded(user)?, Secret::new(decoded(password)?)), hosts)
                }
            },
        };
        let servers = hosts.split(',').map(|host| server(scheme, host));
        let servers = servers.collect::<StoreResult<_>>()?;
        Ok(Self { servers, hosts: hosts.to_owned(), tls: scheme == "tls", login })
    }

    /// Whether a login is sent.
    pub(super) fn has_login(&self) -> bool {
        !matches!(self.login, Login::Nobody)
    }

    /// Who logs in, and whether only by TLS.
    pub(super) fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::new().require_tls(self.tls);
        match &self.login {
            Login::Nobody => options,
            Login::Token(token) => options.token(token.expose().to_owned()),
            Login::User(user, password) => {
                options.user_and_password(user.clone(), password.expose().to_owned())
            }
        }
    }
}

/// Reads one host. Logins are kept apart: the library's logs show the addresses of servers.
fn server(scheme: &str, host: &str) -> StoreResult<ServerAddr> {
    let read = format!("{scheme}://{host}").parse::<ServerAddr>().ok();
    let is_plain = !host.contains(['/', '?', '#', '\\', ' ']);
    match read.filter(|server| is_plain && !server.host().is_empty() && server.port() != 0) {
        Some(server) => Ok(server),
        None => wrong(format!("{host:?} in the URL of NATS is no HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(url: &str) -> String {
        match Address::parse(url).unwrap().login {
            Login::Nobody => "nobody".into(),
            Login::Token(token) => token.expose().into(),
            Login::User(user, password) => format!("{user} {}", password.expose()),
        }
    }

    #[test]
    fn hosts_and_logins_are_read() {
        let address = Address::parse("tls://a:1,b,[::1]:3/").unwrap();
        assert_eq!(address.to_string(), "a:1,b,[::1]:3");
        let servers: Vec<_> = address.servers.iter().map(|s| (s.host(), s.port())).collect();
        assert_eq!(servers, [("a", 1), ("b", 4222), ("::1", 3)]);
        assert!(address.tls && address.servers.iter().all(ServerAddr::tls_required));
        assert!(!Address::parse("nats://h").unwrap().tls);
        assert_eq!(login("nats://h:1"), "nobody");
        assert_eq!(login("nats://to%40ken@h:1"), "to@ken");
        assert_eq!(login("nats://u%3A:p:%2F@h,i"), "u: p:/");
    }

    #[test]
    fn what_is_wrong_is_said_without_secrets() {
        let cases = [
            ("http://u:hunter2@h", "begins with nats:// or tls://"),
            ("hunter2", "begins with nats:// or tls://"),
            ("nats://hunter2@", "\"\" in the URL of NATS is no HOST:PORT"),
            ("nats://u:hunter2@h:port", "\"h:port\" in the URL of NATS is no HOST:PORT"),
            ("nats://u:hunter2@h:0", "\"h:0\""),
            ("nats://hunter2@h,,i", "\"\" in the URL"),
            ("nats://hunter2@h:1/path", "\"h:1/path\""),
            ("nats://u:hunter2@h,nats://u:hunter2@i", "one login stands before all hosts"),
            ("nats://u:hunter2@x@h", "@ is %40"),
            ("nats://hunter2%ff@h", "not UTF-8"),
        ];
        for (url, expected) in cases {
            let Err(error) = Address::parse(url) else { panic!("{url}") };
            let said = error.to_string();
            assert!(said.contains(expected) && !said.contains("hunter2"), "{url}: {said}");
        }
    }
}
