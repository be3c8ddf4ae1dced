//! JSON as the tool writes it: `<`, `>`, `&` and two line separators are escaped.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let escaped = rest[at..].chars().next().unwrap_or_default();
            write!(writer, "\\u{:04x}", u32::from(escaped))?;
            rest = &rest[at + escaped.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes a value in one line. Maps with texts for keys never fail.
pub(super) fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Escaping);
    // Invariant: what is written here has texts for keys, and a Vec takes all bytes.
    let _ = value.serialize(&mut serializer);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_could_take_for_markup_is_escaped() {
        let value =
            serde_json::json!({"u": "é<>&\u{2028}\u{2029}\"\n", "<": 9_007_199_254_740_993_u64});
        let want = r#"{"\u003c":9007199254740993,"u":"é\u003c\u003e\u0026\u2028\u2029\"\n"}"#;
        assert_eq!(String::from_utf8(to_vec(&value)).unwrap(), want);
    }
}
