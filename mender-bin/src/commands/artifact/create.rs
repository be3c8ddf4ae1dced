//! `artifact create`

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use mender_core::artifacts::format::{
    Compression, Depend, FileRecipe, Measure, Provides, Recipe, RecipeError, Script, SingleFile,
    Software,
};

use crate::{
    cli::{Common, Create, Packing},
    failure::Failure,
};

use super::{
    files::{NewFile, about, read},
    signing_key,
};

pub(super) fn run(create: Create) -> Result<(), Failure> {
    match create {
        Create::SingleFile { common, dest_dir, file } => {
            let FileRecipe { name, size, mode } = recipe_of(&file)?;
            let placed = SingleFile { dest_dir, filename: name, size, mode };
            let software = software(&common);
            let types = &common.device_types;
            let mut recipe = Recipe::single_file(&common.name, types, &placed, &software)
                .map_err(|e| about(&file, e))?;
            if common.no_software_version {
                recipe.payloads[0].provides.clear();
                recipe.payloads[0].clears.clear();
            }
            write(&common, recipe, &placed.preamble(), &[file])
        }
        Create::Module { common, kind, meta_data, files } => {
            let recipes = files.iter().map(|file| recipe_of(file)).collect::<Result<_, _>>()?;
            let software = (!common.no_software_version).then(|| software(&common));
            let (name, types) = (&common.name, &common.device_types);
            let mut recipe = Recipe::module(&kind, name, types, recipes, software.as_ref());
            if let Some(path) = meta_data {
                let text = fs::read(&path).map_err(|e| about(&path, e))?;
                recipe.payloads[0].meta_data = serde_json::from_slice(&text)
                    .map_err(|e| about(&path, format!("it is no JSON object: {e}")))?;
            }
            write(&common, recipe, &[], &files)
        }
        Create::Rootfs { common, format, file } => {
            let software = (!common.no_software_version).then(|| software(&common));
            let (name, types) = (&common.name, &common.device_types);
            let mut recipe = Recipe::rootfs(name, types, recipe_of(&file)?, software.as_ref());
            recipe.version = format;
            write(&common, recipe, &[], &[file])
        }
        Create::Bootstrap { common } => {
            let (name, types) = (&common.name, &common.device_types);
            let recipe = Recipe::bootstrap(name, types, Provides::new(), Vec::new());
            write(&common, recipe, &[], &[])
        }
    }
}

fn software(common: &Common) -> Software {
    Software {
        filesystem: common.software_filesystem.clone(),
        name: common.software_name.clone(),
        version: common.software_version.clone(),
    }
}

fn base_name(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| about(path, "it has no name"))
}

fn recipe_of(path: &Path) -> Result<FileRecipe, Failure> {
    let known = fs::metadata(path).map_err(|e| about(path, e))?;
    if !known.is_file() {
        return Err(about(path, "it is no file"));
    }
    Ok(FileRecipe { mode: mode(&known), ..FileRecipe::new(base_name(path)?, known.len()) })
}

#[cfg(unix)]
fn mode(known: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(known) & 0o7777
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0o644
}

/// Adds what all artifacts have in common.
fn extend(recipe: &mut Recipe, common: &Common) -> Result<(), Failure> {
    recipe.compression = match common.compression {
        Packing::None => Compression::None,
        Packing::Gzip => Compression::Gzip,
        Packing::Xz => Compression::Xz,
        Packing::Zstd => Compression::Zstd,
    };
    recipe.group = common.provides_group.clone();
    recipe.depends_names = common.depends_names.clone();
    recipe.depends_groups = common.depends_groups.clone();
    for path in &common.scripts {
        let content = fs::read(path).map_err(|e| about(path, e))?;
        recipe.scripts.push(Script { name: base_name(path)?, content });
    }
    let mut depends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in &common.depends {
        depends.entry(key.clone()).or_default().push(value.clone());
    }
    for payload in &mut recipe.payloads {
        payload.provides.extend(common.provides.iter().cloned());
        payload.depends.extend(depends.clone().into_iter().map(|(key, values)| match &*values {
            [one] => (key, Depend::One(one.clone())),
            _ => (key, Depend::Any(values)),
        }));
        payload.clears.splice(0..0, common.clears.iter().cloned());
    }
    Ok(())
}

/// Writes the artifact. The files are read twice; nothing of them is kept.
fn write(
    common: &Common,
    mut recipe: Recipe,
    preamble: &[u8],
    files: &[PathBuf],
) -> Result<(), Failure> {
    extend(&mut recipe, common)?;
    let key = common.key.as_deref().map(signing_key).transpose()?;
    let output = &common.output;
    let failed = |e: RecipeError| about(output, e);
    let mut measure = Measure::new(recipe);
    measure.push(preamble).map_err(failed)?;
    for file in files {
        read(file, &mut |piece| measure.push(piece).map_err(failed))?;
    }
    let mut plan = measure.finish().map_err(failed)?;
    if let Some(key) = key {
        plan = plan.sign(&key).map_err(|e| about(output, e))?;
    }
    let mut writer = plan.write().map_err(failed)?;
    let mut to = NewFile::beside(output)?;
    let mut bytes = Vec::new();
    writer.push(preamble, &mut bytes).map_err(failed)?;
    for file in files {
        read(file, &mut |piece| {
            writer.push(piece, &mut bytes).map_err(failed)?;
            to.write(&mut bytes)
        })?;
    }
    writer.finish(&mut bytes).map_err(failed)?;
    to.write(&mut bytes)?;
    to.keep()
}
