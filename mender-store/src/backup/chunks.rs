//! Rows of a table as text: the columns, then a row, on each line, compressed.

use std::{
    fmt,
    io::{self, BufRead as _, Read, Write as _},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
    ser,
};

use crate::sql::{CHUNK_ROWS, Chunk, Val};

/// How hard to compress: harder takes longer than the disk.
const LEVEL: i32 = 3;

/// No chunk has more bytes: it ends with the row that makes a million, the largest of which has a few
/// million, and what JSON escapes may be six times as long.
const LARGEST: u64 = 64 << 20;

/// A value to be written.
struct Cell<'a>(&'a Val);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Val::Null => to.serialize_unit(),
            Val::Int(n) => to.serialize_i64(*n),
            Val::Text(text) => to.serialize_str(text),
            // No table has such a column.
            _ => Err(ser::Error::custom("a value that is no text and no number")),
        }
    }
}

/// A value that was read.
struct ReadCell(Val);

struct AnyCell;

impl Visitor<'_> for AnyCell {
    type Value = Val;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Val, E> {
        Ok(Val::Null)
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Val, E> {
        Ok(Val::Int(n))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Val, E> {
        i64::try_from(n).map(Val::Int).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Val, E> {
        Ok(Val::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Val, E> {
        Ok(Val::Text(text))
    }
}

impl<'de> Deserialize<'de> for ReadCell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyCell).map(Self)
    }
}

/// Writes a chunk that can be read again.
pub(super) fn encode(chunk: &Chunk) -> io::Result<Vec<u8>> {
    let mut to = zstd::Encoder::new(Vec::new(), LEVEL)?;
    let mut line = serde_json::to_vec(&chunk.columns)?;
    let mut bytes = line.len();
    to.write_all(&line)?;
    for row in &chunk.rows {
        line.clear();
        line.push(b'\n');
        let cells: Vec<_> = row.iter().map(Cell).collect();
        serde_json::to_writer(&mut line, &cells)?;
        bytes += line.len();
        if bytes as u64 >= LARGEST {
            return Err(io::Error::other(format!("a row of {} is too large", chunk.table)));
        }
        to.write_all(&line)?;
    }
    to.finish()
}

/// Reads a chunk, unless it is larger than any that we write: little text may become a lot.
pub(super) fn decode(table: &str, from: impl Read) -> io::Result<Chunk> {
    let mut text = io::BufReader::new(zstd::Decoder::new(from)?.take(LARGEST));
    let mut lines = text.by_ref().lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let columns = serde_json::from_str(&first)?;
    let row = |line: io::Result<String>| {
        let cells: Vec<ReadCell> = serde_json::from_str(&line?)?;
        Ok(cells.into_iter().map(|cell| cell.0).collect())
    };
    let rows = lines.take(CHUNK_ROWS + 1).map(row).collect::<io::Result<Vec<_>>>()?;
    if rows.len() > CHUNK_ROWS || text.get_ref().limit() == 0 {
        return Err(io::Error::other(format!("too many rows of {table} at once")));
    }
    Ok(Chunk { table: table.to_owned(), columns, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(rows: Vec<Vec<Val>>) -> Chunk {
        Chunk { table: "t".into(), columns: vec!["c".into()], rows }
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, LEVEL).unwrap()
    }

    #[test]
    fn the_largest_rows_are_read_again() {
        // Each of its characters becomes six.
        let text = "\u{1}".repeat(5 << 20);
        let mut rows = vec![vec![Val::Text("\u{1}".repeat(256))]; CHUNK_ROWS - 1];
        rows.push(vec![Val::Text(text)]);
        let chunk = chunk(rows);
        assert_eq!(decode("t", &encode(&chunk).unwrap()[..]).unwrap(), chunk);
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let chunk = chunk(vec![vec![Val::Text("\u{1}".repeat(11 << 20))]]);
        let said = encode(&chunk).unwrap_err().to_string();
        assert_eq!(said, "a row of t is too large");
    }

    #[test]
    fn more_than_we_write_is_refused_and_not_cut() {
        // A row fewer is a chunk.
        for (rows, is_read) in [(CHUNK_ROWS, true), (CHUNK_ROWS + 1, false)] {
            let text = format!("[]{}", "\n[]".repeat(rows));
            assert_eq!(decode("t", &packed(text.as_bytes())[..]).is_ok(), is_read);
        }
        // Lines that end where the limit is.
        let line = format!("\n[\"{}\"]", "x".repeat((1 << 20) - 5));
        let blanks = " ".repeat((1 << 20) - 5);
        let text = format!("[\"c\"]{blanks}{}", line.repeat(64));
        let said = decode("t", &packed(text.as_bytes())[..]).unwrap_err().to_string();
        assert_eq!(said, "too many rows of t at once");
    }
}
