//! The header archive that a recipe asks for.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde::Serialize;

use super::{
    Depends, Provides, go_json,
    headers::ROOTFS,
    pack::Packer,
    recipe::{PayloadRecipe, Recipe, RecipeError},
    tar_header,
};

#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
static SCRIPT: LazyLock<Regex> = LazyLock::new(|| {
    let states = "Install|Reboot|Commit|Rollback|RollbackReboot|Failure";
    Regex::new(&format!(r"\AArtifact({states})_(Enter|Leave|Error)_[0-9][0-9](_\S+)?\z")).unwrap()
});

#[derive(Serialize)]
struct Kind<'a> {
    r#type: Option<&'a str>,
}

#[derive(Serialize)]
struct Info<'a> {
    payloads: Vec<Kind<'a>>,
    artifact_provides: InfoProvides<'a>,
    artifact_depends: InfoDepends<'a>,
}

#[derive(Serialize)]
struct InfoProvides<'a> {
    artifact_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_group: Option<&'a str>,
}

#[derive(Serialize)]
struct InfoDepends<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    artifact_name: &'a [String],
    device_type: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    artifact_group: &'a [String],
}

#[derive(Serialize)]
struct SecondInfo<'a> {
    artifact_name: &'a str,
    updates: Vec<Kind<'a>>,
    device_types_compatible: &'a [String],
}

#[derive(Serialize)]
struct TypeInfo<'a> {
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    artifact_depends: &'a Depends,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    artifact_provides: Provides,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    clears_artifact_provides: &'a [String],
}

#[derive(Serialize)]
struct Files<'a> {
    files: Vec<&'a str>,
}

/// The packed header archive; `checksums` are those of the files.
pub(super) fn archive(recipe: &Recipe, checksums: &[Vec<String>]) -> Result<Vec<u8>, RecipeError> {
    let mut tar = Vec::new();
    member(&mut tar, "header-info", 0o600, 0, &info(recipe))?;
    for script in &recipe.scripts {
        if !SCRIPT.is_match(&script.name) {
            return Err(RecipeError::Script(script.name.clone()));
        }
        let path = format!("scripts/{}", script.name);
        member(&mut tar, &path, 0o755, recipe.modified, &script.content)?;
    }
    for (index, payload) in recipe.payloads.iter().enumerate() {
        let path = |file: &str| format!("headers/{index:04}/{file}");
        let second = recipe.version == 2;
        if second {
            let files = payload.files.iter().map(|file| file.name.as_str()).collect();
            member(&mut tar, &path("files"), 0o600, 0, &go_json::to_vec(&Files { files }))?;
        }
        let first_sum = checksums.get(index).and_then(|sums| sums.first());
        let type_info = type_info(payload, first_sum, second);
        member(&mut tar, &path("type-info"), 0o600, 0, &type_info)?;
        if !payload.meta_data.is_empty() {
            let meta_data = go_json::to_vec(&payload.meta_data);
            member(&mut tar, &path("meta-data"), 0o600, 0, &meta_data)?;
        } else if payload.kind.as_deref() == Some(ROOTFS) {
            member(&mut tar, &path("meta-data"), 0o600, 0, &[])?;
        }
    }
    tar.extend([0; 2 * tar_header::BLOCK]);
    let mut packer = Packer::new(recipe.compression)?;
    let mut packed = packer.write(&tar)?;
    packed.extend(packer.finish()?);
    Ok(packed)
}

fn info(recipe: &Recipe) -> Vec<u8> {
    let payloads = recipe.payloads.iter();
    let kinds = payloads.map(|payload| Kind { r#type: payload.kind.as_deref() }).collect();
    if recipe.version == 2 {
        return go_json::to_vec(&SecondInfo {
            artifact_name: &recipe.name,
            updates: kinds,
            device_types_compatible: &recipe.device_types,
        });
    }
    go_json::to_vec(&Info {
        payloads: kinds,
        artifact_provides: InfoProvides {
            artifact_name: &recipe.name,
            artifact_group: recipe.group.as_deref(),
        },
        artifact_depends: InfoDepends {
            artifact_name: &recipe.depends_names,
            device_type: &recipe.device_types,
            artifact_group: &recipe.depends_groups,
        },
    })
}

fn type_info(payload: &PayloadRecipe, checksum: Option<&String>, second: bool) -> Vec<u8> {
    let kind = payload.kind.as_deref();
    if second {
        return go_json::to_vec(&Kind { r#type: kind });
    }
    let mut provides = payload.provides.clone();
    if let (Some(key), Some(checksum)) = (&payload.provides_checksum, checksum) {
        provides.insert(key.clone(), checksum.clone());
    }
    go_json::to_vec(&TypeInfo {
        r#type: kind,
        artifact_depends: &payload.depends,
        artifact_provides: provides,
        clears_artifact_provides: &payload.clears,
    })
}

/// Adds a whole member.
pub(super) fn member(
    tar: &mut Vec<u8>,
    name: &str,
    mode: u32,
    modified: u64,
    content: &[u8],
) -> Result<(), RecipeError> {
    let size = content.len() as u64;
    tar.extend(header(name, size, mode, modified)?);
    tar.extend_from_slice(content);
    pad(tar, size);
    Ok(())
}

pub(super) fn header(
    name: &str,
    size: u64,
    mode: u32,
    modified: u64,
) -> Result<[u8; tar_header::BLOCK], RecipeError> {
    let header = tar_header::write(name, size, mode & 0o7777, modified);
    header.ok_or_else(|| RecipeError::Tar(name.to_owned()))
}

/// Adds the zeros that follow content of a size.
pub(super) fn pad(bytes: &mut Vec<u8>, size: u64) {
    let zeros = usize::try_from(tar_header::padding(size)).unwrap_or(0);
    bytes.extend(std::iter::repeat_n(0, zeros));
}
