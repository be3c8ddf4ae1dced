//! `artifact delta`

use std::{io::Read as _, path::Path};

use mender_core::artifacts::{
    DeltaSizes,
    delta::{Delta, Image, Stop, Unpacker},
};

use crate::{cli::Sizes, failure::Failure};

use super::{
    files::{NewFile, PIECE, about, read},
    signing_key,
};

pub(super) fn run(
    source: &Path,
    target: &Path,
    output: &Path,
    key: Option<&Path>,
    sizes: &Sizes,
) -> Result<(), Failure> {
    let key = key.map(signing_key).transpose()?;
    let usual = DeltaSizes::default();
    let sizes = DeltaSizes {
        level: sizes.level.unwrap_or(usual.level),
        checksums: !sizes.no_checksums,
        source_window: sizes.source_window.unwrap_or(usual.source_window),
        input_window: sizes.input_window.unwrap_or(usual.input_window),
        ..usual
    };
    let failed = |e: mender_core::Error| about(output, e.what);
    // Images lie beside what is made of them: there is room.
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let (from, to) = (image(source, folder)?, image(target, folder)?);
    let delta = Delta::between(from, to, &sizes, Some(folder), &Stop::default());
    let Delta { mut plan, mut file, .. } = delta.map_err(failed)?;
    if let Some(key) = key {
        plan = plan.sign(&key).map_err(|e| about(output, e))?;
    }
    let mut writer = plan.write().map_err(|e| about(output, e))?;
    let mut new = NewFile::beside(output)?;
    let (mut piece, mut bytes) = (vec![0; PIECE], Vec::new());
    loop {
        let size = file.read(&mut piece).map_err(|e| about(output, e))?;
        if size == 0 {
            break;
        }
        writer.push(&piece[..size], &mut bytes).map_err(|e| about(output, e))?;
        new.write(&mut bytes)?;
    }
    writer.finish(&mut bytes).map_err(|e| about(output, e))?;
    new.write(&mut bytes)?;
    new.keep()
}

fn image(path: &Path, folder: &Path) -> Result<Image, Failure> {
    let refused = |e: mender_core::Error| about(path, e.what);
    let mut unpacker = Unpacker::new(Some(folder), u64::MAX).map_err(refused)?;
    read(path, &mut |piece| unpacker.push(piece).map_err(refused))?;
    unpacker.finish().map_err(refused)
}
