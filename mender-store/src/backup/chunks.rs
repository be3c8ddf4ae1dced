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

use crate::sql::{Chunk, Val};

/// How hard to compress: harder takes longer than the disk.
const LEVEL: i32 = 3;

/// No chunk has more bytes: one that does was not written by us.
const LARGEST: u64 = 1 << 30;

struct Cell(Val);

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Val::Null => to.serialize_unit(),
            Val::Int(n) => to.serialize_i64(*n),
            Val::Text(text) => to.serialize_str(text),
            // No table has such a column.
            _ => Err(ser::Error::custom("a value that is no text and no number")),
        }
    }
}

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

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyCell).map(Self)
    }
}

pub(super) fn encode(chunk: Chunk) -> io::Result<Vec<u8>> {
    let mut to = zstd::Encoder::new(Vec::new(), LEVEL)?;
    serde_json::to_writer(&mut to, &chunk.columns)?;
    for row in chunk.rows {
        let cells: Vec<_> = row.into_iter().map(Cell).collect();
        to.write_all(b"\n")?;
        serde_json::to_writer(&mut to, &cells)?;
    }
    to.finish()
}

pub(super) fn decode(table: &str, from: impl Read) -> io::Result<Chunk> {
    let text = io::BufReader::new(zstd::Decoder::new(from)?.take(LARGEST));
    let mut lines = text.lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let columns = serde_json::from_str(&first)?;
    let row = |line: io::Result<String>| {
        let cells: Vec<Cell> = serde_json::from_str(&line?)?;
        Ok(cells.into_iter().map(|cell| cell.0).collect())
    };
    let rows = lines.map(row).collect::<io::Result<_>>()?;
    Ok(Chunk { table: table.to_owned(), columns, rows })
}
