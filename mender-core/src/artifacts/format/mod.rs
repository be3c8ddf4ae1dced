//! The artifact format: what a `.mender` file is, without input or output.

mod content;

pub use content::{Content, Depend, Depends, File, Payload, Provides};
