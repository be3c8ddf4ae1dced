//! From the common subset to a dialect.

use std::fmt::Write as _;

/// A piece of a statement.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Param(usize),
    In(usize),
    Rows(usize),
    Index(&'a str),
}

fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn marker(text: &str) -> Option<(Part<'_>, &str)> {
    if let Some(rest) = text.strip_prefix('$') {
        return number(rest).map(|(n, rest)| (Part::Param(n), rest));
    }
    if let Some(rest) = text.strip_prefix("@index(") {
        return rest.split_once(')').map(|(name, rest)| (Part::Index(name), rest));
    }
    let (make, rest): (fn(usize) -> Part<'static>, _) = match text.strip_prefix("@in($") {
        Some(rest) => (Part::In, rest),
        None => (Part::Rows, text.strip_prefix("@rows($")?),
    };
    let (n, rest) = number(rest)?;
    Some((make(n), rest.strip_prefix(')')?))
}

fn parts(mut text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        if let Some((part, rest)) = marker(text) {
            parts.push(part);
            text = rest;
            continue;
        }
        // Invariant: quoted texts of our statements hold no quotes, so that a quote pairs with
        // the next one.
        let skip = match text.strip_prefix('\'').and_then(|rest| rest.find('\'')) {
            Some(close) => close + 2,
            None => text.chars().next().map_or(1, char::len_utf8),
        };
        let end = text[skip..].find(['$', '@', '\'']).map_or(text.len(), |at| at + skip);
        parts.push(Part::Text(&text[..end]));
        text = &text[end..];
    }
    parts
}

fn values(out: &mut String, sigil: char, first: usize, rows: usize, width: usize) {
    out.push_str("VALUES ");
    let mut n = first;
    for row in 0..rows.max(1) {
        out.push_str(if row == 0 { "(" } else { ", (" });
        for col in 0..width.max(1) {
            let comma = if col == 0 { "" } else { ", " };
            let _ = write!(out, "{comma}{sigil}{n}");
            n += 1;
        }
        out.push(')');
    }
}

/// Writes a statement for SQLite, which runs `@rows` one row at a time.
#[cfg(any(test, feature = "sqlite"))]
pub(crate) fn sqlite(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for part in parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Param(n) => {
                let _ = write!(out, "?{n}");
            }
            Part::In(n) => {
                let _ = write!(out, "IN (SELECT value FROM json_each(?{n}))");
            }
            Part::Rows(n) => values(&mut out, '?', n, 1, width),
            Part::Index(name) => {
                let _ = write!(out, "INDEXED BY {name}");
            }
        }
    }
    out
}

/// Writes a statement for PostgreSQL.
#[cfg(any(test, feature = "postgres"))]
pub(crate) fn postgres(text: &str, rows: usize, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for part in parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Param(n) => {
                let _ = write!(out, "${n}");
            }
            Part::In(n) => {
                let _ = write!(out, "= ANY(${n})");
            }
            Part::Rows(n) => values(&mut out, '$', n, rows, width),
            // The server decides by what it knows of the rows.
            Part::Index(_) => {}
        }
    }
    out
}

/// Returns how many columns an insert of rows names.
pub(crate) fn width(text: &str) -> usize {
    let columns = text.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    columns.map_or(1, |(columns, _)| columns.split(',').count())
}

#[cfg(test)]
mod tests {
    use super::{postgres, sqlite};

    #[test]
    fn an_index_is_named_for_sqlite_alone() {
        let text = "SELECT 1 FROM t AS e @index(t_a) WHERE a = $1";
        assert_eq!(sqlite(text, 0), "SELECT 1 FROM t AS e INDEXED BY t_a WHERE a = ?1");
        assert_eq!(postgres(text, 0, 0), "SELECT 1 FROM t AS e  WHERE a = $1");
    }

    #[test]
    fn lists_and_rows_are_written_for_each_database() {
        let text = "INSERT INTO t (a, b) @rows($2) WHERE c @in($1) AND d = '$9é' AND e = $1";
        assert_eq!(
            sqlite(text, 2),
            "INSERT INTO t (a, b) VALUES (?2, ?3) WHERE c IN (SELECT value FROM json_each(?1)) \
             AND d = '$9é' AND e = ?1"
        );
        assert_eq!(
            postgres(text, 2, 2),
            "INSERT INTO t (a, b) VALUES ($2, $3), ($4, $5) WHERE c = ANY($1) \
             AND d = '$9é' AND e = $1"
        );
    }
}
