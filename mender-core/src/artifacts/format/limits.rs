/// What an artifact may cost whoever parses it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of the member `version`.
    pub version: u64,
    /// Bytes of a signature.
    pub signature: u64,
    /// Bytes of a manifest.
    pub manifest: u64,
    /// Lines of a manifest.
    pub manifest_entries: usize,
    /// Bytes of each JSON document of a header.
    pub header_json: u64,
    /// How deep JSON may be nested.
    pub json_depth: usize,
    /// Values in all JSON documents together: they cost more memory than their text.
    pub json_values: usize,
    /// Bytes of each script.
    pub script: u64,
    /// How many scripts there may be.
    pub scripts: usize,
    /// Bytes of a header archive, as stored and unpacked.
    pub header: u64,
    /// How many payloads there may be.
    pub payloads: usize,
    /// How many files each payload may have.
    pub files: usize,
    /// Bytes of all data archives together, unpacked.
    pub unpacked: u64,
    /// Bytes that may come out of each byte that goes in, once `ratio_from` came out.
    pub ratio: u64,
    /// Unpacked bytes of an archive from which on the ratio counts.
    pub ratio_from: u64,
    /// Bytes of memory for unpacking xz; a dictionary of 64 MiB, the tool's, fits the default.
    pub xz_memory: u64,
    /// The binary logarithm of the largest zstd window.
    pub zstd_window_log: u32,
    /// Bytes of the extensions (long names, PAX) before a member.
    pub tar_extension: u64,
    /// How many combinations of what is depended on there may be.
    pub combinations: usize,
    /// How many device types there may be.
    pub device_types: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            version: 4 << 10,
            signature: 16 << 10,
            manifest: 4 << 20,
            manifest_entries: 1 << 16,
            header_json: 1 << 20,
            json_depth: 64,
            json_values: 100_000,
            script: 16 << 20,
            scripts: 1024,
            header: 64 << 20,
            payloads: 1024,
            files: 1024,
            unpacked: 64 << 30,
            ratio: 2000,
            ratio_from: 1 << 30,
            xz_memory: 66 << 20,
            zstd_window_log: 27,
            tar_extension: 64 << 10,
            combinations: 1024,
            device_types: 200,
        }
    }
}
