//! Names for files that are whole.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Gives a file a new name, unless something has it: nothing is ever overwritten. The name that it
/// had may stay.
///
/// # Errors
/// `AlreadyExists` where something has the name; those of the file system.
pub fn name_new(from: &Path, to: &Path) -> io::Result<()> {
    place(from, to, |from, to| fs::hard_link(from, to))
}

fn place(
    from: &Path,
    to: &Path,
    link: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    match link(from, to) {
        // What file systems without links say, such as FAT.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::TooManyLinks
            ) =>
        {
            // Until then an empty file keeps the name for us.
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(to)?;
            let renamed = fs::rename(from, to);
            if renamed.is_err() {
                // It is our own.
                let _ = fs::remove_file(to);
            }
            renamed
        }
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of EPERM, EMLINK, ENOSYS and EOPNOTSUPP.
    const WITHOUT_LINKS: [i32; 4] = [1, 31, 38, 95];

    #[test]
    fn a_file_gets_its_name_with_or_without_links() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "whole").unwrap();
        name_new(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"whole");
        for number in WITHOUT_LINKS {
            fs::remove_file(&to).unwrap();
            fs::write(&from, "whole").unwrap();
            place(&from, &to, |_, _| Err(io::Error::from_raw_os_error(number))).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"whole");
            assert!(!from.exists());
        }
    }

    #[test]
    fn nothing_is_overwritten_with_or_without_links() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "whole").unwrap();
        // What a link points to that leads nowhere is not made either.
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &to).unwrap();
        let refused = |answer: io::Result<()>| answer.unwrap_err().kind();
        assert_eq!(refused(name_new(&from, &to)), ErrorKind::AlreadyExists);
        for number in WITHOUT_LINKS {
            let link = |_: &Path, _: &Path| Err(io::Error::from_raw_os_error(number));
            assert_eq!(refused(place(&from, &to, link)), ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn where_a_file_cannot_be_named_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (none, to) = (dir.path().join("none"), dir.path().join("to"));
        let link = |_: &Path, _: &Path| Err(io::Error::from_raw_os_error(1));
        assert_eq!(place(&none, &to, link).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!to.exists());
    }
}
