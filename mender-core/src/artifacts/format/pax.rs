//! PAX records: `LENGTH KEY=VALUE` lines that change what a tar header says.

use super::error::FormatError;

/// What the records of a member say of interest.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<i64>,
}

fn bad(what: &str) -> FormatError {
    FormatError::invalid(format!("archive/tar: invalid PAX record: {what}"))
}

impl Records {
    /// Reads all records. A key that comes twice is refused: others take the first or the last.
    pub(super) fn parse(mut text: &[u8]) -> Result<Self, FormatError> {
        let mut records = Self::default();
        while !text.is_empty() {
            let space = text.iter().take(20).position(|&byte| byte == b' ');
            let space = space.ok_or_else(|| bad("no length"))?;
            let length: usize = digits(&text[..space]).ok_or_else(|| bad("length"))?;
            if length <= space + 1 || length > text.len() || text[length - 1] != b'\n' {
                return Err(bad("length"));
            }
            let record = &text[space + 1..length - 1];
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(|| bad("no ="))?;
            records.set(&record[..equals], &record[equals + 1..])?;
            text = &text[length..];
        }
        Ok(records)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), FormatError> {
        if key.starts_with(b"GNU.sparse.") {
            return Err(FormatError::invalid("archive/tar: sparse files are not supported"));
        }
        let twice = match key {
            b"path" => self.path.replace(value.to_vec()).is_some(),
            b"size" => {
                let size = digits(value).ok_or_else(|| bad("size"))?;
                self.size.replace(size).is_some()
            }
            b"mtime" => {
                self.modified.replace(seconds(value).ok_or_else(|| bad("mtime"))?).is_some()
            }
            _ => false,
        };
        if twice { Err(bad("the same key twice")) } else { Ok(()) }
    }
}

fn digits<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let all = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| all)?.parse().ok()
}

/// The whole seconds of a decimal number, rounded down.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, magnitude) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    let seconds: i64 = digits(whole.as_bytes())?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let down = i64::from(negative && fraction.bytes().any(|byte| byte != b'0'));
    Some(if negative { -seconds - down } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let text = b"12 path=a/b\n10 size=5\n19 mtime=12.999999\n12 comment=\n";
        let want = Records { path: Some(b"a/b".to_vec()), size: Some(5), modified: Some(12) };
        assert_eq!(Records::parse(text).unwrap(), want);
    }

    #[test]
    fn times_are_rounded_down() {
        for (text, want) in [("1", 1), ("-1", -1), ("-1.5", -2), ("0.9", 0), ("-0.0", 0)] {
            assert_eq!(seconds(text.as_bytes()), Some(want), "{text}");
        }
        for bad in ["", "x", "1.x", "--1", "99999999999999999999"] {
            assert_eq!(seconds(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            "x",
            "5 a=b",
            "100 a=b\n",
            "0 a=b\n",
            "3 \n\n",
            "6 ab\n\n",
            "-6 a=b\n",
            "10 size=x\n",
            "11 size=-5\n",
            "9 path=\n9 path=\n",
            "22 GNU.sparse.major=1\n",
            "99999999999999999999999 a=b\n",
        ] {
            assert!(Records::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
