//! Patterns of requests, as Go's `http.ServeMux` reads them: `[METHOD ]/path/{wildcard}`.

use std::borrow::Cow;

use crate::path;

/// Declared from the most to the least specific, which is the order of patterns.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Fixed,
    One,
    Rest,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Fixed(String),
    /// `{name}`: any one segment that is not empty.
    One,
    /// A slash at the end, or `{name...}`: whatever follows.
    Rest,
}

impl Segment {
    fn kind(&self) -> Kind {
        match self {
            Self::Fixed(_) => Kind::Fixed,
            Self::One => Kind::One,
            Self::Rest => Kind::Rest,
        }
    }
}

/// A pattern. Two that fit the same requests are equal, whatever their wildcards are called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern {
    method: Option<String>,
    segments: Vec<Segment>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (method, path) = match text.split_once([' ', '\t']) {
            Some((method, path)) => (Some(method.to_owned()), path.trim_start()),
            None => (None, text),
        };
        if method
            .as_ref()
            .is_some_and(|m| m.is_empty() || !m.bytes().all(|b| b.is_ascii_alphabetic()))
        {
            return Err("malformed method".into());
        }
        let path = path
            .strip_prefix('/')
            .ok_or("the path must begin with a slash; hosts are not supported")?;
        let parts: Vec<&str> = path.split('/').collect();
        let last = parts.len() - 1;
        let segments = parts.into_iter().enumerate().map(|(i, part)| segment(part, i == last));
        Ok(Self { method, segments: segments.collect::<Result<_, _>>()? })
    }

    /// What patterns are sorted by: the first one that fits is then the most specific.
    // Compat: Go refuses pairs of which neither is the more specific; here the earlier segment
    // decides, and the method last.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let kinds: Vec<Kind> = self.segments.iter().map(Segment::kind).collect();
        (kinds, self.method.is_none())
    }

    pub(super) fn fits(&self, method: &str, path: &[Cow<'_, str>]) -> bool {
        // As in Go, GET stands for HEAD, too.
        let by_method = |m: &String| m == method || (m == "GET" && method == "HEAD");
        if !self.method.as_ref().is_none_or(by_method) {
            return false;
        }
        let mut path = path.iter();
        for segment in &self.segments {
            let fits = match (segment, path.next()) {
                (Segment::Rest, Some(_)) => return true,
                (Segment::Fixed(text), Some(part)) => text == &**part,
                (Segment::One, Some(part)) => !part.is_empty(),
                (_, None) => false,
            };
            if !fits {
                return false;
            }
        }
        path.next().is_none()
    }
}

fn segment(part: &str, last: bool) -> Result<Segment, String> {
    let wildcard = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
    match wildcard {
        None if part.is_empty() && last => Ok(Segment::Rest),
        None if part.contains(['{', '}']) => Err(format!("malformed wildcard {part}")),
        None => {
            path::decode(part).map(Segment::Fixed).map_err(|bad| format!("malformed escape {bad}"))
        }
        Some("$") if last => Ok(Segment::Fixed(String::new())),
        Some(name) if last && name.ends_with("...") && name.len() > 3 => Ok(Segment::Rest),
        Some(name) if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            Ok(Segment::One)
        }
        Some(_) => Err(format!("malformed wildcard {part}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, method: &str, path: &str) -> bool {
        let path = path::segments(path).unwrap();
        Pattern::parse(pattern).unwrap().fits(method, &path)
    }

    #[test]
    fn a_slash_at_the_end_means_everything_below() {
        assert!(fits("/", "GET", "/any/thing"));
        assert!(fits("/api/", "GET", "/api/") && fits("/api/", "GET", "/api/x/y"));
        assert!(!fits("/api/", "GET", "/api") && !fits("/api", "GET", "/api/"));
        assert!(fits("/api/{$}", "GET", "/api/") && !fits("/api/{$}", "GET", "/api/x"));
        assert!(fits("/api/{rest...}", "GET", "/api/x/y"));
    }

    #[test]
    fn wildcards_stand_for_one_segment() {
        assert!(fits("/a/{id}/c", "GET", "/a/b/c"));
        assert!(!fits("/a/{id}/c", "GET", "/a//c") && !fits("/a/{id}", "GET", "/a/b/c"));
        assert!(fits("/a%20b", "GET", "/%61%20b"));
    }

    #[test]
    fn a_method_restricts_and_get_means_head_too() {
        assert!(fits("POST /a", "POST", "/a") && !fits("POST /a", "GET", "/a"));
        assert!(fits("GET /a", "HEAD", "/a") && fits("/a", "PATCH", "/a"));
    }

    #[test]
    fn the_most_specific_comes_first() {
        let mut sorted = ["/", "/a/", "/a/{id}", "GET /a/{id}", "/a/b", "GET /a/b"]
            .map(|text| (Pattern::parse(text).unwrap().rank(), text));
        sorted.sort();
        assert_eq!(
            sorted.map(|(_, text)| text),
            ["GET /a/b", "/a/b", "GET /a/{id}", "/a/{id}", "/a/", "/"]
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            "",
            "a",
            "host/a",
            " /a",
            "GE-T /a",
            "/a{b}",
            "/{}",
            "/{a b}",
            "/{$}/a",
            "/{a...}/b",
            "/%zz",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }
}
