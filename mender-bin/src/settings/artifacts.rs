use std::time::Duration;

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
    }
}

impl Artifacts {
    /// Returns how artifacts are kept.
    pub(crate) fn config(&self) -> artifacts::Config {
        artifacts::Config {
            max_size: self.artifact_max_bytes,
            max_generate_size: self.generate_max_bytes,
            direct_upload: self.direct_upload,
            skip_verify: self.direct_upload_skip_verify,
            download_expires: self.download_expires,
            upload_expires: self.upload_expires,
        }
    }
}
