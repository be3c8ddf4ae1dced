//! The subjects of messages.

use mender_core::TenantId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What of a word is written as `%XX`: dots, blanks and wildcards have a meaning in subjects, and
/// `_` stands for no text at all.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// What this adapter itself sends, below a word that no tenant has.
pub(super) const OWN: &str = "mender.%";

fn word(text: &str) -> String {
    match text {
        "" => "_".into(),
        text => utf8_percent_encode(text, ESCAPED).to_string(),
    }
}

/// Returns the subject of a tenant's messages: another one for each tenant and subject.
pub(super) fn of(tenant: &TenantId, subject: &str) -> String {
    let mut text = format!("mender.{}", word(tenant.as_str()));
    for part in subject.split('.') {
        text.push('.');
        text.push_str(&word(part));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn plain_words_stay_and_others_are_written_out() {
        let subject = |tenant: &str, subject| of(&tenant.parse().unwrap(), subject);
        assert_eq!(subject("", "feed"), "mender._.feed");
        assert_eq!(subject("5f-a", "a.b-1"), "mender.5f-a.a.b-1");
        assert_eq!(subject("a.b *", "x..>"), "mender.a%2Eb%20%2A.x._.%3E");
    }

    #[test]
    fn no_two_have_the_same_subject_and_none_is_a_wildcard() {
        let texts = ["", "_", "%", "%5F", "-", "*", ">", "a", "a.b", ".", "..", "a ", "\u{e9}"];
        let mut seen = BTreeSet::new();
        for tenant in texts {
            for subject in texts {
                let text = of(&tenant.parse().unwrap(), subject);
                assert!(!text.split('.').any(|word| ["", "*", ">"].contains(&word)), "{text}");
                assert!(!text.contains(char::is_whitespace), "{text}");
                assert!(!text.starts_with(&format!("{OWN}.")), "{text}");
                assert!(seen.insert(text));
            }
        }
    }
}
