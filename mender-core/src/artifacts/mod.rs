//! Artifacts: files that devices install.

pub mod format;
