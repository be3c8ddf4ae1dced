use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, Write},
};

use mender_core::{
    Ctx, Mender,
    inventory::{AttributeName, Device, Place},
};
use serde_json::{Value as Json, json};

use crate::{
    Distribution,
    cli::{Export, FileFormat},
    commands::{
        inventory::{cell, file_failed},
        mender,
        progress::Progress,
        tenant_id,
    },
    failure::Failure,
    settings::Settings,
};

/// How many devices are read at a time.
const CHUNK: usize = 500;

pub(super) async fn run(
    parts: &Distribution,
    settings: &Settings,
    wanted: Export,
) -> Result<(), Failure> {
    let ctx = Ctx::system(tenant_id(&wanted.tenant)?);
    let mender = mender(parts, settings).await?;
    let walk = Walk { mender: &mender, ctx: &ctx, scopes: &wanted.scopes };
    let out: Box<dyn Write + Send> = match &wanted.out {
        Some(path) => Box::new(File::create(path).map_err(|e| file_failed(path, e))?),
        None => Box::new(io::stdout()),
    };
    let mut out = BufWriter::new(out);
    match wanted.format {
        FileFormat::Csv => walk.csv(&mut out).await?,
        FileFormat::Jsonl => walk.jsonl(&mut out).await?,
    }
    out.flush().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the devices were not written: {error}"))
}

/// All devices of a tenant, a chunk after the other.
struct Walk<'a> {
    mender: &'a Mender,
    ctx: &'a Ctx,
    scopes: &'a [String],
}

impl Walk<'_> {
    fn shows(&self, scope: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|wanted| wanted == scope)
    }

    async fn each(
        &self,
        what: &'static str,
        mut work: impl FnMut(&Device) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let inventory = self.mender.inventory();
        let progress = Progress::of(what, Some(inventory.count_devices(self.ctx).await?));
        let (mut done, mut after): (u64, Option<Place>) = (0, None);
        loop {
            let devices = inventory.devices_after(self.ctx, after, CHUNK).await?;
            let Some(last) = devices.last() else { break };
            after = Some(last.place);
            for device in &devices {
                work(device)?;
            }
            done += devices.len() as u64;
            progress.show(done);
        }
        progress.end();
        Ok(())
    }

    async fn jsonl(&self, out: &mut impl Write) -> Result<(), Failure> {
        self.each("devices", |device| {
            let shown = device.attributes.iter().filter(|(scope, _, _)| self.shows(scope));
            let attributes: Vec<Json> = shown
                .map(|(scope, name, attribute)| {
                    let value = attribute.value.to_json();
                    let mut shown = json!({ "scope": scope, "name": name, "value": value });
                    if let Some(description) = &attribute.description {
                        shown["description"] = description.clone().into();
                    }
                    shown
                })
                .collect();
            let line = json!({ "id": device.id, "attributes": attributes });
            writeln!(out, "{line}").map_err(failed)
        })
        .await
    }

    /// Goes through the devices twice: the first line names every column.
    async fn csv(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut columns = BTreeSet::new();
        self.each("devices looked at", |device| {
            for (scope, name, _) in device.attributes.iter().filter(|(s, _, _)| self.shows(s)) {
                let column = AttributeName::new(scope, name);
                if !columns.contains(&column) {
                    columns.insert(column);
                }
            }
            Ok(())
        })
        .await?;
        let mut table = csv::Writer::from_writer(out);
        let names = columns.iter().map(|column| format!("{}/{}", column.scope, column.name));
        table.write_record([String::from("id")].into_iter().chain(names)).map_err(failed)?;
        self.each("devices", |device| {
            let cell = |column| device.attributes.value(column).map(cell::write);
            let cells = columns.iter().map(|column| cell(column).unwrap_or_default());
            let row = [device.id.to_string()].into_iter().chain(cells);
            table.write_record(row).map_err(failed)
        })
        .await?;
        table.flush().map_err(failed)
    }
}
