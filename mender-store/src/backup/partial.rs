//! A file that is not yet whole.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use mender_core::Env;

/// What its name ends in; an id of its own comes before.
const END: &str = ".partial";

/// A file on its way to its name, beside it. It is locked for as long as this lives, and goes away
/// with it unless it was published.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    locked: File,
}

impl Partial {
    /// Makes a file that nobody had before and that only its owner may read: whatever lies there
    /// already may be somebody else's.
    pub(super) fn create(of: &Path) -> io::Result<(Self, File)> {
        // Where they can't be removed, they are in nobody's way.
        let _ = remove_dead(of);
        let mut path = of.as_os_str().to_owned();
        path.push(format!(".{}{END}", Env::system().uuid()));
        let path = PathBuf::from(path);
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
        // Without a lock nobody can tell whether it is dead, and it is never removed.
        let _ = file.try_lock();
        let locked = file.try_clone()?;
        Ok((Self { path, locked }, file))
    }

    /// Gives the file its name, unless something has it.
    pub(super) fn publish(&self, of: &Path) -> io::Result<()> {
        crate::files::name_new(&self.path, of)?;
        File::open(folder(of))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Where it has only its new name, there is nothing to remove.
        let _ = fs::remove_file(&self.path);
        let _ = self.locked.unlock();
    }
}

fn folder(of: &Path) -> &Path {
    of.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what was left by those who were killed while they wrote the same file.
fn remove_dead(of: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder(of))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        // A pipe would keep us waiting.
        if !is_partial(&name.to_string_lossy(), of) || !entry.file_type()?.is_file() {
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        // An empty one may have been made just now, and is yet to be locked.
        if file.try_lock().is_ok() && file.metadata()?.len() > 0 {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn is_partial(name: &str, of: &Path) -> bool {
    let of = of.file_name().unwrap_or_default().to_string_lossy();
    let rest = name.strip_prefix(&*of).and_then(|rest| rest.strip_prefix('.'));
    let id = rest.and_then(|rest| rest.strip_suffix(END));
    id.is_some_and(|id| id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}
