//! The file of the report for programs.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use mender_http::simulate::Report;

use crate::failure::Failure;

/// Where the report goes once there is one. What was in the file stays until then.
#[derive(Debug)]
pub(super) struct Json {
    file: File,
    path: PathBuf,
    /// What takes the place of the file in the end; none where that is a pipe or a device.
    beside: Option<PathBuf>,
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("--json {}: {error}", path.display()))
}

impl Json {
    /// Finds out whether it can be written: not after an hour of work.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| failure(path, &error);
        if fs::metadata(path).is_ok_and(|known| !known.is_file()) {
            let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
            return Ok(Self { file, path: path.into(), beside: None });
        }
        // A link stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let file = File::create(&beside).map_err(failed)?;
        Ok(Self { file, path, beside: Some(beside) })
    }

    pub(super) fn write(mut self, report: &Report) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(report).map_err(|e| Failure::new(e.to_string()))?;
        let written = self.file.write_all((text + "\n").as_bytes());
        let written = written.and_then(|()| match self.beside.as_ref() {
            Some(beside) => fs::rename(beside, &self.path),
            None => Ok(()),
        });
        written.map_err(|error| failure(&self.path, &error))?;
        self.beside = None;
        Ok(())
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // There may be none any more.
            let _ = fs::remove_file(beside);
        }
    }
}
