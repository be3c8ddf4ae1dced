//! What stores find things by: texts whose order means something, and conditions on them.
//!
//! A thing has **index texts**, many of them. A search is a list of [`Clause`]s, all of which
//! must hold. Core makes texts and clauses; stores compare bytes and know nothing of what they
//! mean, so that a search finds the same in every store.

/// A part of the index: one text, or all from one up to another.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Span {
    /// This text.
    At(String),
    /// All texts from the first on that come before the second.
    Within {
        /// The first text that belongs to it.
        from: String,
        /// The first text that does not any more.
        to: String,
    },
}

impl Span {
    /// All texts that begin with these characters, which are not empty and below U+007F.
    #[must_use]
    pub fn beginning(with: &str) -> Self {
        let mut to = with.to_owned();
        if let Some(last) = to.pop() {
            // Invariant: U+007F and above never stand in prefixes.
            to.push(char::from_u32(u32::from(last) + 1).unwrap_or(last));
        }
        Self::Within { from: with.to_owned(), to }
    }

    /// Tells whether the text belongs to it.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        match self {
            Self::At(at) => at == text,
            Self::Within { from, to } => from.as_str() <= text && text < to.as_str(),
        }
    }
}

/// A condition: some index text lies in `some`, or `none` is given and no text lies in it.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Clause {
    /// Where one text is enough.
    pub some: Vec<Span>,
    /// Where no text may be.
    pub none: Option<Vec<Span>>,
}

impl Clause {
    /// Some text lies in one of the spans.
    #[must_use]
    pub fn some(spans: Vec<Span>) -> Self {
        Self { some: spans, none: None }
    }

    /// No text lies in any of the spans.
    #[must_use]
    pub fn none(spans: Vec<Span>) -> Self {
        Self { some: Vec::new(), none: Some(spans) }
    }

    /// Tells whether it holds for a thing with these texts.
    pub fn holds(&self, texts: &[&str]) -> bool {
        let lies_in = |spans: &[Span]| texts.iter().any(|t| spans.iter().any(|span| span.has(t)));
        lies_in(&self.some) || self.none.as_ref().is_some_and(|none| !lies_in(none))
    }

    /// Tells whether it holds for nothing.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.some.is_empty() && self.none.is_none()
    }
}

/// One key of an order: the smallest text with the prefix, or the greatest where descending.
///
/// Things without such a text come first, and last where descending.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Sort {
    /// What the texts begin with; the order compares what follows.
    pub prefix: String,
    /// Whether the greatest come first.
    pub descending: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_hold_where_a_text_is_or_is_not() {
        let texts = ["a=1", "b=2"];
        let holds = |clause: Clause| clause.holds(&texts);
        let at = |text: &str| Span::At(text.into());
        assert!(holds(Clause::some(vec![at("x"), at("a=1")])));
        assert!(!holds(Clause::some(vec![])));
        assert!(holds(Clause::none(vec![])));
        assert!(holds(Clause::some(vec![Span::beginning("b=")])));
        assert!(!holds(Clause::none(vec![Span::beginning("b=")])));
        assert!(holds(Clause { some: vec![at("x")], none: Some(vec![Span::beginning("c=")]) }));
    }

    #[test]
    fn a_beginning_ends_before_the_next_text() {
        let span = Span::beginning("a=");
        assert!(span.has("a=") && span.has("a=\u{7f}zzz"));
        assert!(!span.has("a>") && !span.has("a"));
    }
}
