//! The artifacts of a transcript.

use std::collections::BTreeMap;

use bytes::Bytes;
use mender_core::artifacts::format::{
    Compression, Depends, FileRecipe, Measure, PayloadRecipe, Provides, Recipe, RecipeError, Script,
};
use serde::Deserialize;
use serde_json::Value;
use serde_yaml_ng::{Mapping, Value as Yaml};

use super::vars::Vars;

/// What a transcript says of an artifact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    name: String,
    device_types: Vec<String>,
    version: u32,
    group: Option<String>,
    depends: BTreeMap<String, Vec<String>>,
    scripts: Mapping,
    signed: bool,
    compress: String,
    r#break: Option<Value>,
    payloads: Option<Vec<GivenPayload>>,
    // The only payload, where there are no `payloads`.
    payload: String,
    kind: Option<String>,
    files: Option<Mapping>,
    meta: Option<Value>,
    provides: Option<Provides>,
    type_depends: Option<Depends>,
    clears: Option<Vec<String>>,
    type_name: Option<String>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            name: String::new(),
            device_types: vec!["raspberrypi4".into()],
            version: 3,
            group: None,
            depends: BTreeMap::new(),
            scripts: Mapping::new(),
            signed: false,
            compress: "gz".into(),
            r#break: None,
            payloads: None,
            payload: "hello".into(),
            kind: Some("single-file".into()),
            files: None,
            meta: None,
            provides: None,
            type_depends: None,
            clears: Some(vec!["rootfs-image.*".into()]),
            type_name: None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GivenPayload {
    kind: Option<String>,
    files: Option<Mapping>,
    meta: Option<Value>,
    provides: Option<Provides>,
    depends: Option<Depends>,
    clears: Option<Vec<String>>,
    r#type: Option<String>,
}

/// Builds the artifacts of a document, by name; `None`: one that our library doesn't write.
pub(super) fn build(text: &str, vars: &Vars) -> Result<Vec<(String, Option<Bytes>)>, String> {
    let document: Yaml = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    let mut built = Vec::new();
    for (name, given) in document.get("artifacts").and_then(Yaml::as_mapping).into_iter().flatten()
    {
        let name = name.as_str().unwrap_or_default().to_owned();
        let given = serde_yaml_ng::from_value(fill(given, vars)?);
        let given: Given = given.map_err(|error| format!("artifact {name}: {error}"))?;
        built.push((name, given.build()));
    }
    Ok(built)
}

/// Fills variables in, and keeps the order of keys, which is that of files.
fn fill(node: &Yaml, vars: &Vars) -> Result<Yaml, String> {
    Ok(match node {
        Yaml::String(text) => {
            let filled = vars.fill(&text.as_str().into())?;
            serde_yaml_ng::to_value(filled).map_err(|error| error.to_string())?
        }
        Yaml::Sequence(items) => {
            Yaml::Sequence(items.iter().map(|item| fill(item, vars)).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(map) => {
            let pairs = map.iter().map(|(key, value)| Ok((fill(key, vars)?, fill(value, vars)?)));
            Yaml::Mapping(pairs.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

impl Given {
    fn build(mut self) -> Option<Bytes> {
        let mut recipe = Recipe::new(&self.name, &self.device_types);
        recipe.version = self.version;
        recipe.compression = match self.compress.as_str() {
            "none" => Compression::None,
            "gz" => Compression::Gzip,
            "xz" => Compression::Xz,
            "zst" => Compression::Zstd,
            _ => return None,
        };
        recipe.group = self.group.take();
        recipe.depends_names = self.depends.remove("artifact_name").unwrap_or_default();
        recipe.depends_groups = self.depends.remove("artifact_group").unwrap_or_default();
        if self.r#break.is_some() || !self.depends.is_empty() || ![2, 3].contains(&self.version) {
            return None;
        }
        for (name, content) in pairs(&self.scripts)? {
            recipe.scripts.push(Script { name, content: content.into() });
        }
        let signed = self.signed;
        let mut contents = Vec::new();
        for payload in self.payloads()? {
            recipe.payloads.push(payload.recipe(&mut contents)?);
        }
        write(recipe, &contents.concat(), signed).ok().map(Bytes::from)
    }

    fn payloads(self) -> Option<Vec<GivenPayload>> {
        if self.payloads.is_some() {
            return self.payloads;
        }
        let version = |kind| (format!("rootfs-image.{kind}.version"), self.name);
        let provides = || Some(self.kind.clone().map(version).into_iter().collect());
        let file = || Mapping::from_iter([("file".into(), self.payload.into())]);
        Some(vec![GivenPayload {
            files: self.files.or_else(|| self.kind.is_some().then(file)),
            provides: self.provides.or_else(provides),
            kind: self.kind,
            meta: self.meta,
            depends: self.type_depends,
            clears: self.clears,
            r#type: self.type_name,
        }])
    }
}

impl GivenPayload {
    fn recipe(self, contents: &mut Vec<String>) -> Option<PayloadRecipe> {
        let mut files = Vec::new();
        for (name, content) in pairs(&self.files.unwrap_or_default())? {
            files.push(FileRecipe::new(name, content.len() as u64));
            contents.push(content);
        }
        // Readers take the empty type for that in the header.
        let same = self.r#type.is_none_or(|t| t.is_empty() || Some(t) == self.kind);
        let meta_data = match self.meta {
            None => Default::default(),
            Some(Value::String(text)) if text.is_empty() => Default::default(),
            Some(Value::Object(meta_data)) => meta_data,
            Some(_) => return None,
        };
        same.then(|| PayloadRecipe {
            kind: self.kind,
            files,
            provides: self.provides.unwrap_or_default(),
            depends: self.depends.unwrap_or_default(),
            clears: self.clears.unwrap_or_default(),
            meta_data,
            ..PayloadRecipe::default()
        })
    }
}

fn pairs(map: &Mapping) -> Option<Vec<(String, String)>> {
    let pair = |(key, value): (&Yaml, &Yaml)| Some((key.as_str()?.into(), value.as_str()?.into()));
    map.iter().map(pair).collect()
}

fn write(recipe: Recipe, content: &str, signed: bool) -> Result<Vec<u8>, RecipeError> {
    let mut measure = Measure::new(recipe);
    measure.push(content.as_bytes())?;
    let mut plan = measure.finish()?;
    if signed {
        plan = plan.with_signature("c2lnbmF0dXJl".into());
    }
    let mut bytes = Vec::new();
    let mut writer = plan.write()?;
    writer.push(content.as_bytes(), &mut bytes)?;
    writer.finish(&mut bytes)?;
    // As tar does: ranges that transcripts ask for lie within.
    bytes.resize(bytes.len().next_multiple_of(10240), 0);
    Ok(bytes)
}
