use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use mender_core::artifacts;

settings! {
    "Artifacts":
    /// How artifacts come in, and how they leave.
    pub(crate) struct Artifacts {
        /// How many bytes an artifact may have.
        artifact_max_bytes: u64 = "10737418240",
        /// How many bytes a file may have that an artifact is made of.
        generate_max_bytes: u64 = "268435456",
        /// Whether clients may put artifacts into the store of blobs themselves.
        direct_upload: bool = "false",
        /// Whether what they put there is taken for what they say it is, without being read.
        direct_upload_skip_verify: bool = "false",
        /// For how long a link to an artifact works.
        download_expires: Duration = "15m",
        /// For how long a link to put an artifact works.
        upload_expires: Duration = "1h",
        /// Whether binary deltas are made for tenants of which nobody says so.
        delta_enabled: bool = "true",
        /// How many bytes an image may have that a delta is made of, or makes.
        delta_max_bytes: u64 = "5368709120",
        /// The folder for images that a delta is being made of: up to twice the largest image for
        /// each, and half as much again. Default: work in the data directory.
        delta_work_dir: Option<PathBuf> = "",
        /// How many deltas are made at a time. Each takes 200 MiB of memory, and more where tenants
        /// choose larger windows.
        delta_parallel: usize = "1",
    }
}

impl Artifacts {
    /// Returns how artifacts are kept.
    pub(crate) fn config(&self, data_dir: &Path) -> artifacts::Config {
        artifacts::Config {
            max_size: self.artifact_max_bytes,
            max_generate_size: self.generate_max_bytes,
            direct_upload: self.direct_upload,
            skip_verify: self.direct_upload_skip_verify,
            download_expires: self.download_expires,
            upload_expires: self.upload_expires,
            delta: artifacts::DeltaConfig {
                enabled: self.delta_enabled,
                max_image: self.delta_max_bytes,
                work: Some(self.delta_work_dir.clone().unwrap_or_else(|| data_dir.join("work"))),
                parallel: self.delta_parallel,
            },
        }
    }
}
