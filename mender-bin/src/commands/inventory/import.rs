use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
};

use mender_core::{
    Ctx, Mender,
    inventory::{AttributeName, How, Line, LineOutcome, NewAttribute, Value},
};
use serde_json::Value as Json;

use crate::{
    Distribution,
    cli::{FileFormat, Import},
    commands::{
        inventory::{cell, file_failed},
        mender, print,
        progress::Progress,
        settle, tenant_id,
    },
    failure::Failure,
    settings::Settings,
};

/// How many lines are stored at a time.
const CHUNK: usize = 500;

/// The largest line of a file, in bytes.
const MAX_LINE: usize = 4 << 20;

pub(super) async fn run(
    parts: &Distribution,
    settings: &Settings,
    wanted: Import,
) -> Result<(), Failure> {
    let ctx = Ctx::system(tenant_id(&wanted.tenant)?);
    let mender = mender(parts, settings).await?;
    let path = wanted.file.clone();
    let file: Box<dyn Read + Send> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(&path).map_err(|e| file_failed(&path, e))?),
    };
    let lines: Box<dyn Iterator<Item = Result<Parsed, Failure>> + Send> = match wanted.format {
        FileFormat::Csv => Box::new(table(file, &wanted, &path)?),
        FileFormat::Jsonl => Box::new(objects(file, &wanted, &path)),
    };
    let mut sums = Sums::default();
    let imported = import(&mender, &ctx, &wanted, lines, &mut sums).await;
    settle(&mender).await;
    print(&sums.text())?;
    imported?;
    match sums.refused + sums.unknown + sums.ambiguous {
        0 => Ok(()),
        left => Err(Failure::new(format!("{left} lines were not stored"))),
    }
}

/// A line of a file, or what is wrong with it.
type Parsed = Result<Line, String>;

async fn import(
    mender: &Mender,
    ctx: &Ctx,
    wanted: &Import,
    mut lines: impl Iterator<Item = Result<Parsed, Failure>>,
    sums: &mut Sums,
) -> Result<(), Failure> {
    let how = if wanted.replace { How::Replace } else { How::Merge };
    let by = named_by(&wanted.by);
    let progress = Progress::of("lines", None);
    loop {
        let chunk = lines.by_ref().take(CHUNK).collect::<Result<Vec<_>, _>>()?;
        if chunk.is_empty() {
            progress.end();
            return Ok(());
        }
        let (chunk, wrong): (Vec<_>, Vec<_>) = chunk.into_iter().partition(Result::is_ok);
        for what in wrong.into_iter().filter_map(Result::err) {
            sums.refused += 1;
            tracing::warn!(what, "refused");
        }
        let chunk: Vec<Line> = chunk.into_iter().flatten().collect();
        let outcomes = mender.inventory().import(ctx, &chunk, &by, how).await?;
        for (line, outcome) in chunk.iter().zip(outcomes) {
            sums.add(line, &outcome);
        }
        progress.show(sums.lines());
    }
}

/// The attribute that names devices.
fn named_by(name: &str) -> AttributeName {
    match name.split_once('/') {
        Some((scope, name)) => AttributeName::new(scope, name),
        None => AttributeName::identity(name),
    }
}

/// The attribute of a column; `None`: nothing that can be imported.
fn imported(column: &str) -> Option<AttributeName> {
    let (scope, name) = column.split_once('/')?;
    let is_ours = matches!(scope, AttributeName::TAGS | AttributeName::INVENTORY);
    is_ours.then(|| AttributeName::new(scope, name))
}

/// The lines of a table.
fn table<R: Read>(
    file: R,
    wanted: &Import,
    path: &Path,
) -> Result<impl Iterator<Item = Result<Parsed, Failure>> + use<R>, Failure> {
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = table.headers().map_err(|e| file_failed(path, e))?.clone();
    // Spreadsheets may put a mark before the first character.
    let header: Vec<String> =
        header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let by = header.iter().position(|name| *name == wanted.by);
    let by = by.ok_or_else(|| file_failed(path, format!("no column {}", wanted.by)))?;
    let columns: Vec<Option<AttributeName>> = header.iter().map(|name| imported(name)).collect();
    let (as_text, path) = (wanted.text, path.to_owned());
    Ok(table.into_records().map(move |row| {
        let row = row.map_err(|e| file_failed(&path, e))?;
        let number = row.position().map_or(0, csv::Position::line);
        let mut line = Line { key: row.get(by).unwrap_or_default().into(), attributes: vec![] };
        for (cell, name) in row.iter().zip(&columns) {
            let Some(name) = name else { continue };
            let Some(value) = cell::read(cell, as_text) else { continue };
            match value {
                Ok(value) => line.attributes.push(NewAttribute::new(name.clone(), value)),
                Err(error) => return Ok(Err(format!("line {number}: {error}"))),
            }
        }
        Ok(Ok(line))
    }))
}

/// The lines of a file of objects.
fn objects<R: Read>(
    file: R,
    wanted: &Import,
    path: &Path,
) -> impl Iterator<Item = Result<Parsed, Failure>> + use<R> {
    let (by, path) = (wanted.by.clone(), path.to_owned());
    let mut file = BufReader::new(file);
    let mut number = 0;
    std::iter::from_fn(move || {
        let mut text = String::new();
        loop {
            text.clear();
            number += 1;
            let mut limited = file.by_ref().take(MAX_LINE as u64);
            match limited.read_line(&mut text) {
                Ok(0) => return None,
                Ok(_) if text.trim().is_empty() => {}
                Ok(_) => {
                    let text = text.trim_start_matches('\u{feff}');
                    let wrong = |what: String| format!("line {number}: {what}");
                    return Some(Ok(object(text, &by).map_err(wrong)));
                }
                Err(error) => return Some(Err(file_failed(&path, error))),
            }
        }
    })
}

fn object(text: &str, by: &str) -> Result<Line, String> {
    let json: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let items = json["attributes"].as_array().map_or(&[][..], Vec::as_slice);
    let name_of = |item: &Json| {
        let scope = item["scope"].as_str().unwrap_or(AttributeName::INVENTORY);
        AttributeName::new(scope, item["name"].as_str().unwrap_or_default())
    };
    let key = if by == "id" {
        json["id"].as_str()
    } else {
        let wanted = named_by(by);
        items.iter().find(|item| name_of(item) == wanted).and_then(|item| item["value"].as_str())
    };
    let key = key.ok_or_else(|| format!("no {by}"))?.to_owned();
    let mut attributes = Vec::new();
    for item in items {
        let name = name_of(item);
        if imported(&format!("{}/{}", name.scope, name.name)).is_none() {
            continue;
        }
        let value = Value::from_json(&item["value"]).map_err(|e| e.to_string())?;
        let description = item["description"].as_str().map(str::to_owned);
        attributes.push(NewAttribute { name, value, description });
    }
    Ok(Line { key, attributes })
}

/// What became of the lines.
#[derive(Default)]
struct Sums {
    stored: u64,
    unknown: u64,
    ambiguous: u64,
    refused: u64,
}

impl Sums {
    fn add(&mut self, line: &Line, outcome: &LineOutcome) {
        let key = &line.key;
        match outcome {
            LineOutcome::Stored => self.stored += 1,
            LineOutcome::Unknown => {
                self.unknown += 1;
                tracing::warn!(key, "no such device");
            }
            LineOutcome::Ambiguous(count) => {
                self.ambiguous += 1;
                tracing::warn!(key, count, "several devices: none was changed");
            }
            LineOutcome::Refused(error) => {
                self.refused += 1;
                tracing::warn!(key, %error, "refused");
            }
        }
    }

    fn lines(&self) -> u64 {
        self.stored + self.unknown + self.ambiguous + self.refused
    }

    fn text(&self) -> String {
        let Self { stored, unknown, ambiguous, refused } = self;
        format!("stored: {stored}, unknown: {unknown}, ambiguous: {ambiguous}, refused: {refused}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_name_a_device_by_id_or_by_an_attribute() {
        let text = r#"{"id":"d1","attributes":[
            {"scope":"identity","name":"mac","value":"m1"},
            {"scope":"tags","name":"site","value":"roof","description":"where"},
            {"name":"n","value":[1,2]}]}"#;
        let by_id = object(text, "id").unwrap();
        assert_eq!((by_id.key.as_str(), by_id.attributes.len()), ("d1", 2));
        assert_eq!(by_id.attributes[0].description.as_deref(), Some("where"));
        assert_eq!(object(text, "identity/mac").unwrap().key, "m1");
        assert_eq!(object(text, "identity/serial").unwrap_err(), "no identity/serial");
        assert!(object("{", "id").is_err());
    }

    #[test]
    fn only_tags_and_inventory_are_imported() {
        assert!(imported("tags/site").is_some() && imported("inventory/a/b").is_some());
        for other in ["id", "system/group", "identity/mac", "monitor/alerts"] {
            assert_eq!(imported(other), None, "{other}");
        }
    }
}
