//! Links that a store signed.

use std::collections::BTreeMap;

use crate::env::Time;

/// The type of content that links to artifacts announce.
pub const ARTIFACT_TYPE: &str = "application/vnd.mender-artifact";

/// What a link is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkTo<'a> {
    /// To read, in parts if the client likes.
    Read {
        /// The name that the client is told to save it as.
        file_name: Option<&'a str>,
    },
    /// To store.
    Write,
    /// To delete.
    Delete,
}

impl LinkTo<'_> {
    /// Returns the method to follow the link with.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Read { .. } => "GET",
            Self::Write => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// Who follows a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Audience {
    /// Devices and users, who may know the store by another address than this server does.
    Public,
    /// Workers of this server.
    Internal,
}

/// A signed URL: who has it may do one thing with one blob for some time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// The URL.
    pub uri: String,
    /// Until when it is good, in whole seconds.
    pub expire: Time,
    /// The method to follow it with.
    pub method: &'static str,
    /// The headers that have to be sent with it.
    pub headers: BTreeMap<String, String>,
}

/// Returns the `Content-Disposition` of a file with this name.
///
/// ```
/// use mender_core::blob::disposition;
///
/// assert_eq!(disposition("a.mender"), r#"attachment; filename="a.mender""#);
/// ```
#[must_use]
pub fn disposition(file_name: &str) -> String {
    let mut plain = String::with_capacity(file_name.len());
    let mut encoded = String::new();
    for c in file_name.chars().filter(|c| !c.is_control()) {
        match c {
            '"' | '\\' => plain.extend(['\\', c]),
            c if c.is_ascii() => plain.push(c),
            _ => plain.push('_'),
        }
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            match byte {
                b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
                byte => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    let plain = format!("attachment; filename=\"{plain}\"");
    // Why: headers are ASCII, and some stores refuse to answer with others (RFC 6266).
    if file_name.is_ascii() { plain } else { format!("{plain}; filename*=UTF-8''{encoded}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_leave_their_header() {
        assert_eq!(disposition("a b.mender"), "attachment; filename=\"a b.mender\"");
        assert_eq!(disposition("a\"; x=\"\r\nb"), "attachment; filename=\"a\\\"; x=\\\"b\"");
        let both = "attachment; filename=\"gr_n-1\"; filename*=UTF-8''gr%C3%BCn-1";
        assert_eq!(disposition("grün-1"), both);
    }
}
