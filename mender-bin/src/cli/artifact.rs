//! The arguments of `artifact`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Subcommand)]
pub(crate) enum Artifact {
    /// Tell what an artifact contains, after verifying its checksums.
    Inspect {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The artifact.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Verify an artifact's checksums, and its signature where a key is given.
    Validate {
        /// The public key that must have signed it, as PEM.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// The artifact.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Sign an artifact. All bytes but the signature stay the same.
    Sign {
        /// The private key, RSA or ECDSA on P-256, as PEM.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The file to write; the artifact itself where it is left out.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace a signature that is there.
        #[arg(long)]
        force: bool,
        /// The artifact.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make an artifact.
    #[command(subcommand)]
    Create(Box<Create>),
    /// Make an artifact of what differs between two images of the root file system.
    Delta {
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// A private key to sign it with, RSA or ECDSA on P-256, as PEM.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        #[command(flatten)]
        sizes: Sizes,
        /// The artifact that devices have.
        #[arg(value_name = "SOURCE")]
        source: PathBuf,
        /// The artifact that they shall have.
        #[arg(value_name = "TARGET")]
        target: PathBuf,
    },
}

/// The arguments of xdelta3, under their names there.
#[derive(Args)]
pub(crate) struct Sizes {
    /// How many bytes of the source a device has at hand.
    #[arg(short = 'B', value_name = "BYTES", value_parser = clap::value_parser!(u64).range(16384..=1_073_741_824))]
    pub(crate) source_window: Option<u64>,
    /// How many bytes of the target are encoded at a time.
    #[arg(short = 'W', value_name = "BYTES", value_parser = clap::value_parser!(u64).range(16384..=16_777_216))]
    pub(crate) input_window: Option<u64>,
    /// How hard it is tried: 1 to 9.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(crate) level: Option<u32>,
    /// Leave out the checksums of windows.
    #[arg(long)]
    pub(crate) no_checksums: bool,
}

#[derive(Subcommand)]
pub(crate) enum Create {
    /// One that puts a file on devices.
    SingleFile {
        #[command(flatten)]
        common: Common,
        /// The folder on the device.
        #[arg(long, value_name = "DIR")]
        dest_dir: String,
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// One that an update module installs.
    Module {
        #[command(flatten)]
        common: Common,
        /// The name of the update module.
        #[arg(long = "type", value_name = "TYPE")]
        kind: String,
        /// A file with a JSON object for the module.
        #[arg(long, value_name = "FILE")]
        meta_data: Option<PathBuf>,
        /// The files.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// One that replaces the root file system.
    Rootfs {
        #[command(flatten)]
        common: Common,
        /// The version of the format: 3, or 2 for old devices.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=3))]
        format: u32,
        /// The image.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// One that installs nothing, but sets what a device provides.
    Bootstrap {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
pub(crate) struct Common {
    /// The artifact's name.
    #[arg(long)]
    pub(crate) name: String,
    /// A type of devices that it is for; may be repeated.
    #[arg(long = "device-type", value_name = "TYPE", required = true)]
    pub(crate) device_types: Vec<String>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// How it is packed. The smallest devices need `none`.
    #[arg(long, default_value = "gzip")]
    pub(crate) compression: Packing,
    /// A private key to sign it with, RSA or ECDSA on P-256, as PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// What devices will provide; may be repeated.
    #[arg(long, value_name = "KEY:VALUE", value_parser = pair)]
    pub(crate) provides: Vec<(String, String)>,
    /// What devices must provide; may be repeated, also with the same key.
    #[arg(long, value_name = "KEY:VALUE", value_parser = pair)]
    pub(crate) depends: Vec<(String, String)>,
    /// A pattern of what devices cease to provide; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) clears: Vec<String>,
    /// The group that devices will be in.
    #[arg(long, value_name = "GROUP")]
    pub(crate) provides_group: Option<String>,
    /// A name of which devices must have one; may be repeated.
    #[arg(long = "depends-name", value_name = "NAME")]
    pub(crate) depends_names: Vec<String>,
    /// A group of which devices must be in one; may be repeated.
    #[arg(long = "depends-group", value_name = "GROUP")]
    pub(crate) depends_groups: Vec<String>,
    /// A state script, by its name such as ArtifactInstall_Enter_00; may be repeated.
    #[arg(long = "script", value_name = "FILE")]
    pub(crate) scripts: Vec<PathBuf>,
    /// What the software is installed into; rootfs-image where it is left out.
    #[arg(long, value_name = "NAME")]
    pub(crate) software_filesystem: Option<String>,
    /// The software's name; the type of the payload where it is left out.
    #[arg(long, value_name = "NAME")]
    pub(crate) software_name: Option<String>,
    /// The software's version; the artifact's name where it is left out.
    #[arg(long, value_name = "VERSION")]
    pub(crate) software_version: Option<String>,
    /// Say nothing of the software's version.
    #[arg(long)]
    pub(crate) no_software_version: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Packing {
    None,
    Gzip,
    Xz,
    Zstd,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once(':').ok_or("there is no colon in it")?;
    Ok((key.to_owned(), value.to_owned()))
}
