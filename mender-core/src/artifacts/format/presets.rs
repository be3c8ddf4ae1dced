//! Artifacts as the tool makes them when it is told no more than it must.

use serde_json::{Map, Value};

use super::{
    Compression, FileRecipe, PayloadRecipe, Provides, Recipe, RecipeError, SystemManifest,
    headers::ROOTFS, text,
};

/// How a device names the software that an artifact installs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Software {
    /// What it is installed into; `rootfs-image` where it is left out.
    pub filesystem: Option<String>,
    /// Its name; the payload's type where it is left out.
    pub name: Option<String>,
    /// Its version; the artifact's name where it is left out.
    pub version: Option<String>,
}

impl Software {
    fn filesystem(&self) -> &str {
        self.filesystem.as_deref().unwrap_or(ROOTFS)
    }

    /// Adds the version to what the payload provides, and clears all else of the same software.
    fn apply(&self, prefix: &str, artifact: &str, payload: &mut PayloadRecipe) {
        let version = self.version.clone().unwrap_or_else(|| artifact.to_owned());
        payload.provides.insert(format!("{prefix}.version"), version);
        payload.clears.push(format!("{prefix}.*"));
    }
}

/// A file to be put on devices.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SingleFile {
    /// The folder on the device.
    pub dest_dir: String,
    /// The name there.
    pub filename: String,
    /// The number of its bytes.
    pub size: u64,
    /// Its permissions there.
    pub mode: u32,
}

impl SingleFile {
    /// Returns the content that comes before that of the file itself.
    #[must_use]
    pub fn preamble(&self) -> Vec<u8> {
        self.parts().concat().into_bytes()
    }

    fn parts(&self) -> [String; 3] {
        let mode = format!("{:o}\n", self.mode & 0o7777);
        [format!("{}\n", self.dest_dir), format!("{}\n", self.filename), mode]
    }
}

impl Recipe {
    /// An artifact that puts a file on devices. Its content is the file's
    /// [`SingleFile::preamble`], then the file.
    ///
    /// # Errors
    /// [`RecipeError::Invalid`] where the name of the file is none that artifacts may contain.
    pub fn single_file(
        name: &str,
        device_types: impl IntoIterator<Item = impl Into<String>>,
        file: &SingleFile,
        software: &Software,
    ) -> Result<Self, RecipeError> {
        text::file_name(&file.filename)?;
        let names = ["dest_dir", "filename", "permissions"];
        let small = names.iter().zip(file.parts());
        let mut files: Vec<FileRecipe> =
            small.map(|(name, text)| FileRecipe::new(*name, text.len() as u64)).collect();
        files.push(FileRecipe { mode: file.mode, ..FileRecipe::new(&file.filename, file.size) });
        Ok(Self::module("single-file", name, device_types, files, Some(software)))
    }

    /// An artifact for an update module; the version of the software is left out without
    /// `software`.
    #[must_use]
    pub fn module(
        kind: &str,
        name: &str,
        device_types: impl IntoIterator<Item = impl Into<String>>,
        files: Vec<FileRecipe>,
        software: Option<&Software>,
    ) -> Self {
        let mut payload =
            PayloadRecipe { kind: Some(kind.to_owned()), files, ..PayloadRecipe::default() };
        if let Some(software) = software {
            let filesystem = software.filesystem();
            let prefix = format!("{filesystem}.{}", software.name.as_deref().unwrap_or(kind));
            software.apply(&prefix, name, &mut payload);
        }
        Self::new(name, device_types).payload(payload)
    }

    /// An artifact that replaces the root file system; the version of the software is left out
    /// without `software`.
    #[must_use]
    pub fn rootfs(
        name: &str,
        device_types: impl IntoIterator<Item = impl Into<String>>,
        image: FileRecipe,
        software: Option<&Software>,
    ) -> Self {
        let mut payload = PayloadRecipe {
            kind: Some(ROOTFS.to_owned()),
            files: vec![image],
            provides_checksum: Some("rootfs-image.checksum".to_owned()),
            clears: vec!["artifact_group".to_owned(), "rootfs_image_checksum".to_owned()],
            ..PayloadRecipe::default()
        };
        if let Some(software) = software {
            let filesystem = software.filesystem();
            let named = software.name.as_ref().map(|name| format!("{filesystem}.{name}"));
            let prefix = named.unwrap_or_else(|| filesystem.to_owned());
            software.apply(&prefix, name, &mut payload);
        }
        Self::new(name, device_types).payload(payload)
    }

    /// An artifact with the manifest of a name, which is for systems of these types and has so
    /// many bytes.
    #[must_use]
    pub fn system_manifest(
        name: &str,
        system_types: impl IntoIterator<Item = impl Into<String>>,
        size: u64,
    ) -> Self {
        let files = vec![FileRecipe::new(SystemManifest::FILE, size)];
        let software =
            Software { filesystem: Some("data-partition".to_owned()), ..Software::default() };
        Self::module(SystemManifest::PAYLOAD, name, system_types, files, Some(&software))
    }

    /// An artifact that applies a configuration; it has no files, and is not packed: the smallest
    /// devices take it, too.
    #[must_use]
    pub fn configuration(name: &str, device_type: &str, configuration: Map<String, Value>) -> Self {
        let key = "data-partition.mender-configure.version".to_owned();
        let payload = PayloadRecipe {
            kind: Some("mender-configure".to_owned()),
            provides: Provides::from([(key, name.to_owned())]),
            clears: vec!["data-partition.mender-configure.*".to_owned()],
            meta_data: configuration,
            ..PayloadRecipe::default()
        };
        Self::new(name, [device_type]).payload(payload).packed(Compression::None)
    }

    /// An artifact that installs nothing, but sets what devices provide.
    #[must_use]
    pub fn bootstrap(
        name: &str,
        device_types: impl IntoIterator<Item = impl Into<String>>,
        provides: Provides,
        clears: Vec<String>,
    ) -> Self {
        let payload = PayloadRecipe { provides, clears, ..PayloadRecipe::default() };
        Self::new(name, device_types).payload(payload)
    }
}
