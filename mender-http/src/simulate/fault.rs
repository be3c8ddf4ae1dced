use std::{fmt, path::PathBuf};

/// Why a fleet can't run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The text is no address of a server.
    Address(String),
    /// A certificate can't be read.
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There are no such numbers of devices.
    Numbers {
        /// The first one.
        first: u32,
        /// How many there are to be.
        devices: u32,
    },
    /// Nobody answers.
    Unreachable {
        /// Where.
        server: String,
        /// What is known about it.
        why: String,
    },
    /// The server's certificate is not trusted.
    Certificate {
        /// Whose.
        server: String,
        /// Why.
        why: String,
    },
    /// What answers is no Mender server.
    Stranger {
        /// Where.
        server: String,
        /// The status that it answered.
        status: u16,
    },
    /// The server does not know the user, or the password is wrong.
    Password {
        /// The user.
        user: String,
    },
    /// The server refuses what the user asks.
    Refused {
        /// What was asked.
        what: &'static str,
        /// The status of the answer.
        status: u16,
    },
    /// The file of keys and tokens can't be read or written.
    Kept {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A part of the fleet panicked: a mistake in this program.
    Broken(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(text) => {
                write!(f, "{text:?} is no address of a server such as https://example.com:8080")
            }
            Self::Numbers { first, devices } => {
                let highest = u32::MAX;
                write!(f, "{devices} devices from {first} on: the highest number is {highest}")
            }
            Self::Authority { path, why } => {
                write!(f, "no certificates can be read from {}: {why}", path.display())
            }
            Self::Unreachable { server, why } => write!(f, "nobody answers at {server}: {why}"),
            Self::Certificate { server, why } => {
                write!(f, "the certificate of {server} is not trusted: {why}")
            }
            Self::Stranger { server, status } => write!(
                f,
                "what answers at {server} is no Mender server for devices: it has status {status} \
                 for a device that asks for a token"
            ),
            Self::Password { user } => {
                write!(f, "the server knows no user {user} with this password")
            }
            Self::Refused { what, status } => {
                write!(f, "the server refuses {what} with status {status}")
            }
            Self::Kept { path, why } => {
                write!(f, "the keys of the fleet in {}: {why}", path.display())
            }
            Self::Broken(why) => write!(f, "a part of the fleet broke: {why}"),
        }
    }
}

impl std::error::Error for Fault {}
