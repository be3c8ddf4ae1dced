//! The list of checksums, in the order of its lines.

use std::collections::HashMap;

use super::{error::FormatError, limits::Limits, text};

struct Entry {
    name: String,
    checksum: String,
    seen: bool,
    augmented: bool,
}

/// A file that the manifest says belongs to a payload.
pub(super) struct Listed<'a> {
    pub(super) payload: usize,
    pub(super) name: &'a str,
    /// Whether the other, unsigned manifest lists it.
    pub(super) augmented: bool,
}

/// What the manifests of an artifact list.
#[derive(Default)]
pub(super) struct Manifest {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl Manifest {
    /// Adds the lines of a manifest.
    pub(super) fn read(
        &mut self,
        text: &[u8],
        augmented: bool,
        limits: &Limits,
    ) -> Result<(), FormatError> {
        let text = str::from_utf8(text)
            .map_err(|_| FormatError::invalid("checksum: manifest is not UTF-8"))?;
        // Compat: a last line without a line feed does not count.
        let lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        for line in lines.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let (checksum, name) = columns(line).ok_or_else(|| {
                let shown = &line[..line.floor_char_boundary(200)];
                FormatError::Invalid(format!("checksum: malformed checksum line: '{shown}'"))
            })?;
            if self.entries.len() >= limits.manifest_entries {
                let most = limits.manifest_entries;
                return Err(FormatError::TooLarge(format!("manifest has over {most} entries")));
            }
            if self.by_name.insert(name.to_owned(), self.entries.len()).is_some() {
                return Err(FormatError::invalid("checksum: file already exists"));
            }
            let (name, checksum) = (name.to_owned(), checksum.to_owned());
            self.entries.push(Entry { name, checksum, seen: false, augmented });
        }
        Ok(())
    }

    /// Checks a member that was seen.
    pub(super) fn check(&mut self, name: &str, actual: &str) -> Result<(), FormatError> {
        let missing =
            || FormatError::Invalid(format!("checksum: checksum missing for file: '{name}'"));
        let entry = self.by_name.get(name).and_then(|&at| self.entries.get_mut(at));
        let entry = entry.ok_or_else(missing)?;
        entry.seen = true;
        if entry.checksum == actual {
            return Ok(());
        }
        let mut expected = entry.checksum.clone();
        expected.truncate(expected.floor_char_boundary(200));
        Err(FormatError::Checksum { expected, actual: actual.to_owned() })
    }

    /// The files of payloads, in the order of the entries.
    pub(super) fn files(&self) -> impl Iterator<Item = Result<Listed<'_>, FormatError>> {
        let data = self.entries.iter().filter(|entry| entry.name.starts_with("data/"));
        data.map(|entry| file(&entry.name, entry.augmented))
    }

    /// Checks that all that is listed was seen.
    pub(super) fn finish(&self) -> Result<(), FormatError> {
        let unseen = self.entries.iter().filter(|entry| !entry.seen);
        let mut names = unseen.map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ");
        if names.is_empty() {
            return Ok(());
        }
        names.truncate(names.floor_char_boundary(2000));
        Err(FormatError::Invalid(format!(
            "Files found in manifest(s), that were not part of artifact: {names}"
        )))
    }
}

/// The two columns of a line.
fn columns(line: &str) -> Option<(&str, &str)> {
    let (checksum, name) = line.split_once("  ")?;
    let single = !name.contains("  ") && !checksum.is_empty() && !name.is_empty();
    single.then_some((checksum, name))
}

fn file(entry: &str, augmented: bool) -> Result<Listed<'_>, FormatError> {
    let malformed = || FormatError::Invalid(format!("Malformed manifest entry: '{entry}'"));
    let parts: Vec<&str> = entry.split('/').collect();
    let &[_, index, name] = &*parts else { return Err(malformed()) };
    if name.is_empty() {
        return Err(malformed());
    }
    if index.len() != 4 {
        return Err(FormatError::Invalid(format!(
            "Manifest entry does not contain four digits: '{entry}'"
        )));
    }
    let payload = index.bytes().all(|byte| byte.is_ascii_digit()).then(|| index.parse().ok());
    let payload = payload.flatten().ok_or_else(|| {
        FormatError::Invalid(format!("Invalid index in manifest entry: '{entry}'"))
    })?;
    text::file_name(name)?;
    Ok(Listed { payload, name, augmented })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifest, String> {
        let mut manifest = Manifest::default();
        let read = manifest.read(text.as_bytes(), false, &Limits::default());
        read.map(|()| manifest).map_err(|e| e.to_string())
    }

    #[test]
    fn lines_are_read_as_the_tool_reads_them() {
        let mut manifest = read("aa  version\r\n\nbb  data/0000/x\ncc  header.tar").unwrap();
        assert!(manifest.check("version", "aa").is_ok());
        let error = manifest.check("data/0000/x", "cc").unwrap_err().to_string();
        assert_eq!(error, "invalid checksum; expected: [bb]; actual: [cc]");
        let error = manifest.check("header.tar", "cc").unwrap_err().to_string();
        assert_eq!(error, "checksum: checksum missing for file: 'header.tar'");
    }

    #[test]
    fn malformed_lines_are_refused() {
        for bad in ["hello", "aa version", "aa\tversion", "aa *version", "aa  b  c", "  x", "aa  "]
        {
            let error = format!("checksum: malformed checksum line: '{bad}'");
            assert_eq!(read(&format!("{bad}\n")).err(), Some(error));
        }
        assert_eq!(read("aa  x\nbb  x\n").err().unwrap(), "checksum: file already exists");
    }

    #[test]
    fn entries_of_files_name_a_payload_and_a_file() {
        let texts = [
            ("data/0000/a/b", "Malformed manifest entry: 'data/0000/a/b'"),
            ("data/0000", "Malformed manifest entry: 'data/0000'"),
            ("data/0000/", "Malformed manifest entry: 'data/0000/'"),
            ("data/00/x", "Manifest entry does not contain four digits: 'data/00/x'"),
            ("data/abcd/x", "Invalid index in manifest entry: 'data/abcd/x'"),
            ("data/+001/x", "Invalid index in manifest entry: 'data/+001/x'"),
        ];
        for (entry, text) in texts {
            let manifest = read(&format!("aa  {entry}\n")).unwrap();
            let error = manifest.files().find_map(Result::err).unwrap();
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn what_was_not_seen_is_told_in_order() {
        let manifest = read("aa  b\naa  a\n").unwrap();
        assert_eq!(
            manifest.finish().unwrap_err().to_string(),
            "Files found in manifest(s), that were not part of artifact: b, a"
        );
    }
}
