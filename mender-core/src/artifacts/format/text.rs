//! What names may be made of.

use std::sync::LazyLock;

use regex::Regex;

use super::error::FormatError;

/// Bytes of a name, a group, a type.
const MAX_NAME: usize = 256;
/// Bytes of what a payload provides or depends on.
const MAX_VALUE: usize = 4096;

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static PRINTABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[\p{L}\p{M}\p{N}\p{P}\p{S} ]*\z").unwrap());

fn check(text: &str, most: usize) -> Result<(), &'static str> {
    if text.len() > most {
        Err("too many characters")
    } else if !PRINTABLE.is_match(text) {
        Err("string contains invalid characters")
    } else {
        Ok(())
    }
}

/// Checks a name; the error is the end of an error text.
pub(super) fn name(text: &str) -> Result<(), &'static str> {
    check(text, MAX_NAME)
}

/// Checks keys, values and patterns of a type-info.
pub(super) fn value(text: &str, what: &str) -> Result<(), FormatError> {
    check(text, MAX_VALUE).map_err(|why| FormatError::Invalid(format!("invalid {what}: {why}")))
}

/// Checks the name of a payload's file.
pub(super) fn file_name(name: &str) -> Result<(), FormatError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(FormatError::Invalid(format!(
            "Payload: data file {name} contains forbidden characters. Only letters, digits and \
             characters in the set \".,_-\" are allowed"
        )));
    }
    if matches!(name, "." | "..") {
        return Err(FormatError::Invalid(format!("Payload: data file {name} is a folder")));
    }
    Ok(())
}

/// Collects what is wrong with several names.
#[derive(Default)]
pub(super) struct Complaints(Vec<String>);

impl Complaints {
    /// Checks one.
    pub(super) fn name(&mut self, what: &str, text: &str) {
        if let Err(why) = name(text) {
            self.0.push(format!("invalid {what}: {why}"));
        }
    }

    /// Checks each of a list.
    pub(super) fn names(&mut self, what: &str, texts: &[String]) {
        for (index, text) in texts.iter().enumerate() {
            if let Err(why) = name(text) {
                self.0.push(format!("{what} at index {index} invalid: {why}"));
            }
        }
    }

    /// All of them in one text, after what they are about.
    pub(super) fn result(self, about: &str) -> Result<(), FormatError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut text = self.0.join(", ");
        // Lists may be long and each item wrong.
        text.truncate(text.floor_char_boundary(2000));
        Err(FormatError::Invalid(format!("{about}{text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        for good in ["", "a b", "bläck", "日本", "e\u{301}", &"x".repeat(256)] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        assert_eq!(name(&"ä".repeat(129)), Err("too many characters"));
        for bad in ["a\nb", "\t", "\u{a0}", "\u{200b}", "\u{202e}", "\u{e000}", "\u{2028}", "\0"] {
            assert_eq!(name(bad), Err("string contains invalid characters"), "{bad:?}");
        }
    }

    #[test]
    fn names_of_files_are_ascii_and_no_folders() {
        for good in ["a", "A_1-2,x.bin", "...", ".hidden"] {
            assert!(file_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "café", "a+b", "a\0"] {
            assert!(file_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn complaints_are_joined() {
        let mut complaints = Complaints::default();
        complaints.name("artifact name", "\n");
        complaints.names("devices", &["a".into(), "\n".into()]);
        assert_eq!(
            complaints.result("bad: ").unwrap_err().to_string(),
            "bad: invalid artifact name: string contains invalid characters, devices at index 1 \
             invalid: string contains invalid characters"
        );
    }
}
