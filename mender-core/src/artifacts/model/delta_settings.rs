use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{artifacts::vcdiff::Encoding, secret};

/// Whether deltas are made for a tenant, and how.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeltaSettings {
    /// Whether they are.
    pub enabled: bool,
    /// How they are encoded.
    pub args: DeltaArgs,
    /// For how many seconds a job may work.
    pub timeout: Option<u64>,
    /// What users may ask for, and how much is done at a time.
    pub limits: DeltaLimits,
}

/// How deltas are encoded: the arguments of xdelta3 that users may choose.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeltaArgs {
    /// Whether windows have no checksums.
    pub disable_checksum: bool,
    /// Whether images that are packed are taken as they are: ours always are.
    pub disable_external_decompression: bool,
    /// How hard it is tried; 0 is the default of the tool.
    pub compression_level: Option<u64>,
    /// How many bytes of the source a device has at hand.
    pub source_window_size: Option<u64>,
    /// How many bytes of the target are encoded at a time.
    pub input_window_size: Option<u64>,
    /// Within how many bytes the tool looks for duplicates.
    pub compression_duplicates_window: Option<u64>,
    /// How many instructions the tool holds back.
    pub instruction_buffer_size: Option<u64>,
}

/// Bounds of a number, and what it is where nobody says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeltaRange {
    /// The least.
    pub min: Option<u64>,
    /// The most.
    pub max: Option<u64>,
    /// The default.
    pub default: Option<u64>,
}

/// What users may ask for, and how much is done at a time.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeltaLimits {
    /// See [`DeltaArgs::compression_level`].
    pub compression_level: DeltaRange,
    /// See [`DeltaArgs::source_window_size`].
    pub source_window_size: DeltaRange,
    /// See [`DeltaArgs::input_window_size`].
    pub input_window_size: DeltaRange,
    /// See [`DeltaArgs::compression_duplicates_window`].
    pub compression_duplicates_window: DeltaRange,
    /// See [`DeltaArgs::instruction_buffer_size`].
    pub instruction_buffer_size: DeltaRange,
    /// Seconds.
    pub timeout: DeltaRange,
    /// How many jobs work at a time.
    pub jobs_in_parallel: DeltaRange,
    /// How many jobs wait.
    pub queue_length: DeltaRange,
}

/// The sizes by which a delta is made, and which a device has to know where they are not usual.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeltaSizes {
    /// How hard it is tried.
    pub level: u32,
    /// Whether windows have checksums.
    pub checksums: bool,
    /// `-B`
    pub source_window: u64,
    /// `-W`
    pub input_window: u64,
    /// `-P`
    pub duplicates_window: u64,
    /// `-I`
    pub instruction_buffer: u64,
}

impl Default for DeltaSizes {
    fn default() -> Self {
        Self {
            level: Encoding::default().level,
            checksums: true,
            source_window: 64 << 20,
            input_window: 8 << 20,
            duplicates_window: 256 << 10,
            instruction_buffer: 32 << 10,
        }
    }
}

impl DeltaSizes {
    /// Returns how a delta of these sizes is encoded. Two of them are of no use here, but some
    /// decoders want to know them.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        Encoding {
            source_window: self.source_window,
            target_window: self.input_window,
            level: self.level,
            checksums: self.checksums,
        }
    }

    /// Returns what the decoder on a device is told; nothing where all is usual.
    #[must_use]
    pub fn decoder_arguments(&self) -> Vec<String> {
        let Self { level, checksums, source_window, input_window, .. } = *self;
        let Self { duplicates_window, instruction_buffer, .. } = *self;
        if *self == (Self { level, checksums, ..Self::default() }) {
            return Vec::new();
        }
        vec![
            format!("-B{source_window}"),
            format!("-W{input_window}"),
            format!("-P{duplicates_window}"),
            format!("-I{instruction_buffer}"),
        ]
    }
}

impl DeltaSettings {
    /// Returns the sizes of the next delta.
    #[must_use]
    pub fn sizes(&self) -> DeltaSizes {
        let (args, limits, usual) = (&self.args, &self.limits, DeltaSizes::default());
        let size =
            |own: Option<u64>, range: &DeltaRange, usual| own.or(range.default).unwrap_or(usual);
        let level = size(args.compression_level, &limits.compression_level, 0);
        DeltaSizes {
            // 0 is no level, but leaves the choice to the tool.
            level: u32::try_from(level).ok().filter(|level| *level > 0).unwrap_or(usual.level),
            checksums: !args.disable_checksum,
            source_window: size(
                args.source_window_size,
                &limits.source_window_size,
                usual.source_window,
            ),
            input_window: size(
                args.input_window_size,
                &limits.input_window_size,
                usual.input_window,
            ),
            duplicates_window: size(
                args.compression_duplicates_window,
                &limits.compression_duplicates_window,
                usual.duplicates_window,
            ),
            instruction_buffer: size(
                args.instruction_buffer_size,
                &limits.instruction_buffer_size,
                usual.instruction_buffer,
            ),
        }
    }

    /// Returns for how long the next job may work.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let usual = self.limits.timeout.default.unwrap_or(3600);
        Duration::from_secs(self.timeout.unwrap_or(usual))
    }

    /// Returns how many jobs may work at a time, and how many may wait.
    #[must_use]
    pub fn room(&self) -> (u64, u64) {
        let DeltaLimits { jobs_in_parallel, queue_length, .. } = &self.limits;
        (jobs_in_parallel.max.unwrap_or(2), queue_length.max.unwrap_or(4))
    }

    /// Returns what changes with every change.
    #[must_use]
    pub fn etag(&self) -> String {
        secret::token_hash(&serde_json::to_string(self).unwrap_or_default())
    }
}
