//! The artifact format: what a `.mender` file is, without input or output.
//!
//! A [`Recipe`] says what an artifact shall be. Checksums and sizes come before the content in it,
//! so the content passes twice: [`Measure`] makes a [`Plan`] of it, which a [`Writer`] carries out.
//! Nothing is kept in between. A [`Parser`] is pushed the bytes as they come, cut anywhere, and
//! verifies all checksums:
//!
//! ```
//! use mender_core::artifacts::format::{
//!     FileRecipe, Limits, Measure, Parser, Recipe, Software,
//! };
//!
//! let content = b"#!/bin/sh\necho hello\n";
//! let files = vec![FileRecipe::new("hello.sh", content.len() as u64)];
//! let recipe = Recipe::module("script", "release-1", ["pump"], files, Some(&Software::default()));
//!
//! let mut measure = Measure::new(recipe);
//! measure.push(content)?;
//! let plan = measure.finish()?;
//! let size = plan.size();
//! let mut writer = plan.write()?;
//! let mut bytes = Vec::new();
//! writer.push(content, &mut bytes)?;
//! writer.finish(&mut bytes)?;
//! assert_eq!(bytes.len() as u64, size);
//!
//! let mut parser = Parser::new(Limits::default());
//! for piece in bytes.chunks(1000) {
//!     parser.push(piece)?;
//! }
//! let artifact = parser.finish()?.content;
//! assert_eq!(artifact.name, "release-1");
//! assert_eq!(artifact.payloads[0].files[0].name, "hello.sh");
//! assert_eq!(artifact.provides["rootfs-image.script.version"], "release-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`SigningKey`] and [`verify`] deal with signatures; a [`Resigner`] signs what is written
//! already.

mod archive;
mod assemble;
mod content;
mod data;
mod error;
mod fill;
mod go_json;
mod gzip;
mod header_info;
mod header_member;
mod headers;
mod inflate;
mod json;
mod limits;
mod manifest;
mod pack;
mod parser;
mod pax;
mod plan;
mod presets;
mod recipe;
mod recipe_header;
mod resign;
mod signing;
mod sum;
mod system;
mod tar;
mod tar_header;
mod text;
mod type_info;
mod version;
mod writer;

pub use content::{Content, Depend, Depends, File, Payload, Provides};
pub use data::Sink;
pub use error::FormatError;
pub use inflate::Compression;
pub use limits::Limits;
pub use parser::{Parsed, Parser};
pub use plan::{Measure, Plan};
pub use presets::{SingleFile, Software};
pub use recipe::{FileRecipe, PayloadRecipe, Recipe, RecipeError, Script};
pub use resign::{Replace, ResignError, Resigner};
pub use signing::{SignatureError, SigningKey, verify};
pub use system::{Component, InvalidManifest, SystemManifest};
pub use writer::Writer;
