//! Many devices at once: for spreadsheets and scripts.

use std::collections::{BTreeMap, HashSet};

use crate::{
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result},
    id::DeviceId,
    index::{Clause, Span},
    inventory::{
        entries, logic,
        model::{AttributeName, Device, NewAttribute, Place, Value},
        query::{Search, resolved},
        service::{CHUNK, How, Service, scoped},
    },
};

/// What a file says about one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What names the device: its id, or the value of the attribute that was agreed on.
    pub key: String,
    /// Tags, and attributes as if the device had reported them.
    pub attributes: Vec<NewAttribute>,
}

/// What became of a line.
#[derive(Debug)]
pub enum LineOutcome {
    /// It is stored.
    Stored,
    /// No device is meant.
    Unknown,
    /// So many devices are meant; none was changed.
    Ambiguous(usize),
    /// It breaks a rule.
    Refused(Error),
}

impl Service {
    /// Returns devices in the order of lists, those after `after`: for walks over a fleet.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn devices_after(
        &self,
        ctx: &Ctx,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Device>> {
        let search = scoped(ctx, Search::all());
        Ok(self.store.walk_inventory(&ctx.tenant, &search, after, limit).await?)
    }

    /// Counts the devices that the caller may see.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count_devices(&self, ctx: &Ctx) -> Result<u64> {
        self.count(&ctx.tenant, &scoped(ctx, Search::all())).await
    }

    /// Stores what lines say about known devices, and tells of each line what became of it.
    ///
    /// `by` is the attribute whose value names a device; `identity/id` is the id. With
    /// [`How::Replace`] tags that a line does not give are removed; attributes never are.
    ///
    /// # Errors
    /// Those of the store: lines before it may be stored, and can be given again.
    pub async fn import(
        &self,
        ctx: &Ctx,
        lines: &[Line],
        by: &AttributeName,
        how: How,
    ) -> Result<Vec<LineOutcome>> {
        let known = self.named(ctx, lines, by).await?;
        let none = Vec::new();
        let store = |(at, line): (usize, &Line)| {
            let ids = known.get(&line.key).unwrap_or(&none).clone();
            let line = line.clone();
            async move {
                let outcome = match ids.as_slice() {
                    [] => LineOutcome::Unknown,
                    [id] => match self.import_line(ctx, id, line.attributes, how).await {
                        Ok(()) => LineOutcome::Stored,
                        Err(error) if error.is_of_input() => LineOutcome::Refused(error),
                        Err(error) => return Err(error),
                    },
                    several => LineOutcome::Ambiguous(several.len()),
                };
                Ok((at, outcome))
            }
        };
        // Where several lines mean one device, the last one counts.
        let mut meant = HashSet::new();
        let is_once = known.values().flatten().all(|id| meant.insert(id))
            && lines.iter().map(|line| &line.key).collect::<HashSet<_>>().len() == lines.len();
        let mut outcomes = Vec::with_capacity(lines.len());
        let chunk = if is_once { lines.len().max(1) } else { 1 };
        for (n, lines) in lines.chunks(chunk).enumerate() {
            let numbered = lines.iter().enumerate().map(|(at, line)| (n * chunk + at, line));
            outcomes.extend(self.each(numbered, store).await?);
        }
        outcomes.sort_by_key(|(at, _)| *at);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// The devices that the keys of lines name.
    async fn named(
        &self,
        ctx: &Ctx,
        lines: &[Line],
        by: &AttributeName,
    ) -> Result<BTreeMap<String, Vec<DeviceId>>> {
        let prefix = entries::prefix(&resolved(by, false));
        let text = |value: &Value| entries::entry(&prefix, value);
        let mut keys: BTreeMap<String, &str> = BTreeMap::new();
        for Line { key, .. } in lines {
            keys.insert(text(&Value::Text(key.clone())), key);
            if let Ok(number) = key.parse::<f64>()
                && number.is_finite()
            {
                keys.insert(text(&Value::Number(number)), key);
            }
        }
        let wanted = Clause::some(keys.keys().cloned().map(Span::At).collect());
        let search = scoped(ctx, Search::all().and(wanted));
        let mut named: BTreeMap<String, Vec<DeviceId>> = BTreeMap::new();
        let mut after = None;
        loop {
            let devices = self.store.walk_inventory(&ctx.tenant, &search, after, CHUNK).await?;
            let Some(last) = devices.last() else { break };
            after = Some(last.place);
            for device in devices {
                for entry in entries::entries(&device) {
                    if let Some(key) = keys.get(&entry.text) {
                        named.entry((*key).to_owned()).or_default().push(device.id.clone());
                    }
                }
            }
        }
        Ok(named)
    }

    async fn import_line(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        attributes: Vec<NewAttribute>,
        how: How,
    ) -> Result<()> {
        let is_tag = |new: &NewAttribute| new.name.scope == AttributeName::TAGS;
        let (tags, reported): (Vec<_>, Vec<_>) = attributes.into_iter().partition(is_tag);
        if reported.iter().any(|new| new.name.scope != AttributeName::INVENTORY) {
            return Err(Error::invalid("scope", "only tags and inventory can be imported"));
        }
        if how == How::Replace || !tags.is_empty() {
            self.tag(ctx, id, tags, how, None).await?;
        }
        if reported.is_empty() {
            return Ok(());
        }
        for new in &reported {
            new.check().map_err(|(field, what)| Error::invalid(field, what))?;
        }
        // Not a device that was removed meanwhile.
        let decide = |was: Option<Device>| {
            let limit = self.config.max_attributes;
            let commit = was.map(|was| logic::import(was, &reported, limit));
            Ok((commit.unwrap_or_else(|| Ok(Commit::nothing()))?, ()))
        };
        self.change_stored(ctx, id, decide).await
    }
}
