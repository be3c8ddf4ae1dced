use std::path::PathBuf;

use mender_core::secret::Secret;

use crate::settings::{Wrong, value::BlobsUrl};

settings! {
    "Artifacts and other large objects":
    /// Where large objects are, and who may use the place.
    #[cfg_attr(
        not(any(feature = "s3", feature = "azure", feature = "gcs")),
        expect(dead_code, reason = "some settings are for cloud storage only")
    )]
    pub(crate) struct Blobs {
        /// Where artifacts and other large objects are. Default: blobs in the data directory.
        /// Further words follow the name of a bucket as `?region=eu-west-1&uri=https://host:9000`:
        /// `region` of S3; `uri`, the address of a store that is not its vendor's; `external_uri`,
        /// under which clients know an S3 store; `proxy_uri`, a proxy that clients go through and
        /// that restores the host; for S3 also `path_style=false`, `accelerate=true`, and
        /// `literal=true` where `uri` is the address of the bucket itself.
        blobs_url: Option<BlobsUrl> = "",
        /// Id of the access key to S3, or name of the Azure account. Without it credentials are
        /// those that the vendor's own tools would find: in AWS_…, AZURE_STORAGE_… or
        /// GOOGLE_APPLICATION_CREDENTIALS, else the role of the machine.
        blobs_key: Option<String> = "",
        /// Secret of the access key to S3, or key of the Azure account.
        blobs_secret: Option<Secret> = "",
        /// Token of the S3 session that the key belongs to.
        blobs_token: Option<Secret> = "",
        /// Connection string of the Azure account, instead of its name and key.
        blobs_connection_string: Option<Secret> = "",
        /// File with the key of a Google service account, JSON. Links that bypass the server need
        /// one.
        blobs_service_account: Option<PathBuf> = "",
        /// Authorities that are trusted when talking to the store, besides those of the machine,
        /// PEM.
        blobs_ca: Option<PathBuf> = "",
    }
}

impl Blobs {
    /// Checks what no single setting shows.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        if self.blobs_key.is_some() == self.blobs_secret.is_some() {
            return Ok(());
        }
        Err(Wrong("blobs_key and blobs_secret belong together: set both or none".into()))
    }
}
