//! Free text: the words of a text, without endings and without the most common ones.

use std::collections::BTreeSet;

use rust_stemmers::{Algorithm, Stemmer};

/// Words that say nothing about a device.
const COMMON: &[&str] = &[
    "a", "about", "above", "after", "again", "against", "all", "am", "an", "and", "any", "are",
    "as", "at", "be", "because", "been", "before", "being", "below", "between", "both", "but",
    "by", "can", "cannot", "could", "did", "do", "does", "doing", "down", "during", "each", "few",
    "for", "from", "further", "had", "has", "have", "having", "he", "her", "here", "him", "his",
    "how", "i", "if", "in", "into", "is", "it", "its", "me", "more", "most", "my", "no", "nor",
    "not", "of", "off", "on", "once", "only", "or", "other", "our", "out", "over", "own", "same",
    "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there",
    "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "very",
    "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "why", "with",
    "would", "you", "your",
];

/// The longest word, in bytes; of longer ones the beginning counts.
const MAX: usize = 64;

/// How much of a text is looked at, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// Returns the words of a text: what stands between characters that are neither letters nor
/// digits, in lower case, without English endings, without common words.
///
/// ```
/// let words = mender_core::inventory::words("The gateways: 00:1B");
/// assert_eq!(words.into_iter().collect::<Vec<_>>(), ["00", "1b", "gateway"]);
/// ```
#[must_use]
pub fn words(text: &str) -> BTreeSet<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    let text = &text[..text.floor_char_boundary(MAX_TEXT)];
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    let lower = parts.map(str::to_lowercase);
    let telling = lower.filter(|word| COMMON.binary_search(&word.as_str()).is_err());
    telling
        .map(|word| {
            let end =
                word.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|n| *n <= MAX);
            let end = end.last().unwrap_or(0);
            stemmer.stem(&word[..end]).into_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_in_order() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn symbols_alone_are_no_words() {
        assert!(words("*** -- the").is_empty());
    }

    #[test]
    fn long_words_are_cut_at_a_character() {
        let words = words(&"é".repeat(1000));
        assert_eq!(words.first().map(String::len), Some(64));
    }
}
