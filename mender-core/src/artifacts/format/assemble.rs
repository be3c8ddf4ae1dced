//! Puts together what the headers and the manifests say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, map::Entry};

use super::{
    Content, Depend, Depends, File, Payload,
    error::FormatError,
    headers::{Headers, PayloadHeaders, ROOTFS},
    limits::Limits,
    manifest::Manifest,
    system::InvalidManifest,
};

/// A file that may come in a data archive.
pub(super) struct Expected {
    pub(super) name: String,
    /// Its place among the files that the content shows; added files are not shown.
    pub(super) shown: Option<usize>,
    pub(super) seen: bool,
}

/// What is known once the headers are complete.
pub(super) struct Assembled {
    pub(super) content: Content,
    /// For each payload, the files that may come.
    pub(super) files: Vec<Vec<Expected>>,
    /// Why a payload for orchestrators has no manifest of this artifact.
    pub(super) fault: Option<InvalidManifest>,
}

pub(super) fn assemble(
    version: u32,
    signed: bool,
    headers: Headers,
    added: Option<Headers>,
    manifest: &Manifest,
    limits: &Limits,
) -> Result<Assembled, FormatError> {
    let missing = || FormatError::invalid("header-info is missing");
    let Headers { info, payloads, scripts, .. } = headers;
    let info = info.ok_or_else(missing)?;
    let mut provides = info.provides;
    let mut depends = info.depends;
    let mut clears = Vec::new();
    let mut shown = Vec::new();
    let (added_kinds, added) = added.map(|added| (added.kinds, added.payloads)).unwrap_or_default();
    let mut added = added.into_iter();
    let mut names = Vec::new();
    for (index, (kind, headers)) in info.kinds.iter().zip(payloads).enumerate() {
        let added_kind = added_kinds.get(index).cloned().flatten();
        let merged = merge(headers, added.next().filter(|_| added_kind.is_some()))?;
        let type_info = merged.type_info.unwrap_or_default();
        unite(&mut provides, type_info.provides)?;
        unite(&mut depends, type_info.depends)?;
        clears.extend(type_info.clears.unwrap_or_default());
        names.push(merged.files);
        let kind = added_kind.or_else(|| kind.clone());
        let meta_data = merged.meta_data.unwrap_or_default();
        shown.push(Payload { kind, files: Vec::new(), meta_data });
    }
    let files = expected(&mut shown, &names, manifest, limits)?;
    let content = Content {
        version,
        name: info.name,
        device_types: info.device_types,
        signed,
        payloads: shown,
        provides,
        depends,
        clears,
        scripts,
        system: None,
    };
    check(&content, limits)?;
    Ok(Assembled { content, files, fault: None })
}

/// Shares out the entries of the manifests among the payloads.
fn expected(
    payloads: &mut [Payload],
    names: &[Option<Vec<String>>],
    manifest: &Manifest,
    limits: &Limits,
) -> Result<Vec<Vec<Expected>>, FormatError> {
    let mut files: Vec<Vec<Expected>> = Vec::new();
    files.resize_with(payloads.len(), Vec::new);
    for listed in manifest.files() {
        let listed = listed?;
        let (index, name) = (listed.payload, listed.name);
        let (Some(payload), Some(all)) = (payloads.get_mut(index), files.get_mut(index)) else {
            let text = "File in manifest does not belong to any Payload: ";
            return Err(FormatError::Invalid(format!("{text}data/{index:04}/{name}")));
        };
        let known = names.get(index).and_then(Option::as_ref);
        let other = known.is_some_and(|names| names.iter().all(|known| known != name));
        // Compat: nothing may come for an empty payload; the archive's end tells what is left over.
        if payload.kind.is_none() || other {
            continue;
        }
        if all.len() >= limits.files {
            let most = limits.files;
            return Err(FormatError::TooLarge(format!("Payload has over {most} files")));
        }
        let shown = (!listed.augmented).then_some(payload.files.len());
        if shown.is_some() {
            let (name, checksum) = (name.to_owned(), String::new());
            payload.files.push(File { name, checksum, size: 0, modified: File::NEVER });
        }
        all.push(Expected { name: name.to_owned(), shown, seen: false });
    }
    for (payload, files) in payloads.iter().zip(&files) {
        if payload.kind.as_deref() == Some(ROOTFS) && files.len() > 1 {
            let both = !payload.files.is_empty() && payload.files.len() < files.len();
            return Err(FormatError::invalid(if both {
                "Rootfs: Cannot handle both augmented and non-augmented update file"
            } else {
                "Rootfs: Must provide exactly one update file"
            }));
        }
    }
    Ok(files)
}

/// Checks what the model asks for beyond the format.
fn check(content: &Content, limits: &Limits) -> Result<(), FormatError> {
    if content.device_types.is_empty() || content.device_types.len() > limits.device_types {
        return Err(FormatError::MetadataInvalid);
    }
    let combinations = content
        .depends
        .values()
        .try_fold(1_usize, |product, depend| product.checked_mul(depend.values().len().max(1)));
    if combinations.is_none_or(|number| number > limits.combinations) {
        return Err(FormatError::TooComplex);
    }
    Ok(())
}

/// Adds what a payload gives to what others give.
fn unite<T>(all: &mut BTreeMap<String, T>, more: BTreeMap<String, T>) -> Result<(), FormatError> {
    for (key, value) in more {
        if all.contains_key(&key) {
            return Err(FormatError::Conflict { key });
        }
        all.insert(key, value);
    }
    Ok(())
}

/// Lays augmented headers over the original ones.
fn merge(
    original: PayloadHeaders,
    added: Option<PayloadHeaders>,
) -> Result<PayloadHeaders, FormatError> {
    let Some(added) = added else { return Ok(original) };
    let mut type_info = original.type_info.unwrap_or_default();
    if let Some(added) = added.type_info {
        type_info.provides.extend(added.provides);
        merge_depends(&mut type_info.depends, added.depends)?;
        type_info.clears = added.clears.or(type_info.clears);
    }
    let mut meta_data = original.meta_data.unwrap_or_default();
    merge_objects(&mut meta_data, added.meta_data.unwrap_or_default())?;
    Ok(PayloadHeaders { type_info: Some(type_info), meta_data: Some(meta_data), ..original })
}

fn conflict(key: &str, what: &str) -> FormatError {
    let key = super::headers::short(key);
    FormatError::Invalid(format!("{key}: Type conflict: {what}/non-{what}"))
}

fn merge_depends(all: &mut Depends, more: Depends) -> Result<(), FormatError> {
    for (key, value) in more {
        let is_list = |depend: &Depend| matches!(depend, Depend::Any(_));
        if all.get(&key).is_some_and(|old| is_list(old) != is_list(&value)) {
            return Err(conflict(&key, "list"));
        }
        all.insert(key, value);
    }
    Ok(())
}

fn merge_objects(
    all: &mut Map<String, Value>,
    more: Map<String, Value>,
) -> Result<(), FormatError> {
    for (key, value) in more {
        match all.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(mut entry) => match (entry.get_mut(), value) {
                (Value::Object(old), Value::Object(new)) => merge_objects(old, new)?,
                (old, new) if old.is_object() != new.is_object() => {
                    return Err(conflict(entry.key(), "object"));
                }
                (old, new) if old.is_array() != new.is_array() => {
                    return Err(conflict(entry.key(), "list"));
                }
                (old, new) => *old = new,
            },
        }
    }
    Ok(())
}
