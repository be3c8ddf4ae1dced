//! Plays transcripts: requests, with the answers that the reference server gave to them.
//!
//! A [`Runner`] plays a file over a [`Transport`]: in-process with virtual time, or against a
//! remote server. The format is that of `tests/compat`: YAML, a list of steps, each a request and
//! the answer expected, with matchers such as `$uuid` or `$re ^a`.

mod areas;
mod artifact;
mod key;
mod matching;
mod report;
mod request;
mod runner;
mod transport;
mod vars;

pub use areas::area;
pub use key::{Key, KeyKind};
pub use matching::differences;
pub use report::{Failure, Report};
pub use runner::{Runner, needs};
pub use transport::{InProcess, Settle, Target, Transport};
