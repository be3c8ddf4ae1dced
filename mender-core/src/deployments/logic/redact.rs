use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What tells secrets, people and places, and what is written in its place. The first ones come
/// first: a link with a password in it is no mail address.
static RULES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let rules = [
        (r"(?s)-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\z)", "<key>"),
        (r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?", "<token>"),
        (r"(?i)\b(bearer|authorization:\s*basic)\s+[\w.~+/=-]+", "$1 <token>"),
        (r#"(?i)\b([a-z][a-z0-9+.-]*://[^\s?#"'<>]*)[?#][^\s"'<>]+"#, "$1?<query>"),
        (r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]+@", "$1<user>@"),
        (
            r#"(?ix)\b([\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key
               |credential|psk)[\w.-]*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&"']+)"#,
            "$1<secret>",
        ),
        (r"\b[\w.%+-]+@[\w-]+(?:\.[\w-]+)+\b", "<mail>"),
        (r"(?i)\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\b", "<mac>"),
        (r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b", "<ip>"),
        (
            r"(?ix)(?:\b[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b
              |(?:\b[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}\b",
            "<ip>",
        ),
        // Keys, sums and signatures alike.
        (r"\b[A-Za-z0-9+_-]{40,}={0,2}", "<code>"),
    ];
    let rule = |(pattern, with): (&str, &'static str)| {
        let pattern = Regex::new(pattern);
        (pattern.unwrap_or_else(|e| unreachable!("a pattern: {e}")), with)
    };
    rules.into_iter().map(rule).collect()
});

/// What is base64, or the path of a file.
static LONG: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = Regex::new(r"\b[A-Za-z0-9+/]{40,}={0,2}");
    pattern.unwrap_or_else(|e| unreachable!("a pattern: {e}"))
});

/// Tells base64 from paths, which are rarely of capitals, others and digits between few slashes.
fn is_code(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.as_bytes().iter().any(kind);
    let slashes = text.bytes().filter(|byte| *byte == b'/').count();
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    is_mixed && has(u8::is_ascii_digit) && slashes * 16 <= text.len()
}

/// Returns a text without what others should not read: secrets, addresses of people and machines.
#[must_use]
pub fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, with) in RULES.iter() {
        if let std::borrow::Cow::Owned(changed) = pattern.replace_all(&text, *with) {
            text = changed;
        }
    }
    let code = |found: &Captures<'_>| {
        let found = &found[0];
        if is_code(found) { "<code>".into() } else { found.to_owned() }
    };
    LONG.replace_all(&text, code).into_owned()
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn secrets_and_addresses_are_left_out() {
        for (text, expected) in [
            ("Authorization: Bearer eyJhbGciOi.eyJqdGki.c2ln", "Authorization: Bearer <token>"),
            ("sent eyJhbGciOi.eyJqdGki.c2ln to the server", "sent <token> to the server"),
            (
                "GET https://user:pw@s3.example.com/a/b?X-Amz-Signature=0123 failed",
                "GET https://<user>@s3.example.com/a/b?<query> failed",
            ),
            ("wifi_psk=hunter2 ssid=plant", "wifi_psk=<secret> ssid=plant"),
            (r#"{"TenantToken": "abc.def", "n": 1}"#, r#"{"TenantToken": <secret>, "n": 1}"#),
            ("password: 'a b c', next", "password: <secret>, next"),
            ("mail ops@example.com about 10.0.0.7:443", "mail <mail> about <ip>:443"),
            ("eth0 de:ad:be:ef:00:01 fe80::1ff:fe23:4567:890a", "eth0 <mac> <ip>"),
            ("sum 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "sum <code>"),
            (
                "key MCowBQYDK2VwAyEA/GfX1x9K2n5Kq0P7dTn/4M0z3vJ0mQyq2wZ0b1VtX0c= of",
                "key <code> of",
            ),
            ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic <token>"),
            (
                "a\n-----BEGIN PRIVATE KEY-----\nMIIB\nabc\n-----END PRIVATE KEY-----\nb",
                "a\n<key>\nb",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMIIB cut off", "<key>"),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn what_explains_a_failure_stays() {
        for text in [
            "2026-03-11 13:03:17.063 +0000 UTC error: Update failed: exit status 1",
            "error: /dev/mmcblk0p3: No space left on device (28), 1048576 bytes at 0x7f00",
            "info: artifact release-2.0.1 for beaglebone, module rootfs-image::v2, 12:30:05",
            "exec: /usr/share/mender/modules/v3/rootfs/image/update/script: not found",
            "error: /var/lib/mender/modules/v3/payloads/0000/tree/files/Update1 is missing",
            "basic checks failed",
            "8f0b0fd6-1c1f-4fd0-9b3c-1b6d9f6b0a11 std::runtime_error in mender::update",
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}
