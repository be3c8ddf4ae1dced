//! Files that are read and written piece by piece.

use std::{
    fmt,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// Bytes that are read at once.
pub(super) const PIECE: usize = 256 << 10;

/// Says which file it is about.
pub(super) fn about(path: &Path, why: impl fmt::Display) -> Failure {
    Failure::new(format!("{}: {why}", path.display()))
}

/// Reads a file piece by piece.
pub(super) fn read(
    path: &Path,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut file = File::open(path).map_err(|e| about(path, e))?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).map_err(|e| about(path, e))? {
            0 => return Ok(()),
            read => take(&piece[..read])?,
        }
    }
}

/// A file that appears whole or not at all.
pub(super) struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    kept: bool,
}

impl NewFile {
    /// Begins a file that is to replace what is at the path.
    pub(super) fn beside(path: &Path) -> Result<Self, Failure> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let file = File::create_new(&part).map_err(|e| about(&part, e))?;
        Ok(Self { path: path.to_owned(), part, file, kept: false })
    }

    /// Writes and empties the buffer.
    pub(super) fn write(&mut self, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|e| about(&self.part, e))?;
        bytes.clear();
        Ok(())
    }

    pub(super) fn keep(mut self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|e| about(&self.part, e))?;
        fs::rename(&self.part, &self.path).map_err(|e| about(&self.path, e))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody can be told that it stays behind.
            let _ = fs::remove_file(&self.part);
        }
    }
}
