//! `backup` and `restore` of a program without databases that have them.

use std::path::Path;

use crate::{failure::Failure, settings::Settings};

fn without<T>() -> Result<T, Failure> {
    Err(Failure::new("built without the `sqlite` and `postgres` features, which have backups"))
}

pub(crate) async fn back_up(_: &Settings, _: &Path) -> Result<(), Failure> {
    without()
}

pub(crate) async fn restore(_: &Settings, _: &Path) -> Result<(), Failure> {
    without()
}
