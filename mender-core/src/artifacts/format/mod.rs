//! The artifact format: what a `.mender` file is, without input or output.
//!
//! A [`Parser`] is pushed the bytes as they come, cut anywhere, and verifies all checksums:
//!
//! ```
//! use mender_core::artifacts::format::{Limits, Parser};
//!
//! let mut parser = Parser::new(Limits::default());
//! parser.push(&[0; 512])?;
//! parser.push(&[0; 512])?;
//! let error = parser.finish().unwrap_err();
//! assert_eq!(error.to_string(), "The artifact does not contain all required fields");
//! # Ok::<(), mender_core::artifacts::format::FormatError>(())
//! ```

mod archive;
mod assemble;
mod content;
mod data;
mod error;
mod gzip;
mod header_info;
mod headers;
mod inflate;
mod json;
mod limits;
mod manifest;
mod parser;
mod pax;
mod signing;
mod tar;
mod tar_header;
mod text;
mod type_info;
mod version;

pub use content::{Content, Depend, Depends, File, Payload, Provides};
pub use data::Sink;
pub use error::FormatError;
pub use inflate::Compression;
pub use limits::Limits;
pub use parser::{Parsed, Parser};
pub use signing::{SignatureError, SigningKey, verify};
