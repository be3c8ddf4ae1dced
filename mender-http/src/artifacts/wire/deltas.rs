//! Deltas: how they are made, and the jobs that make them.

use std::fmt::Write as _;

use mender_core::{
    Time,
    artifacts::{self, DeltaArgs, DeltaLimits, DeltaRange, DeltaSettings, DeltaStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    body::{FromBody, JsonError},
    error::ApiError,
};

/// The arguments of xdelta3 that users may choose.
#[derive(Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::artifacts) struct XdeltaArgs {
    /// `-n`: windows have no checksums.
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_checksum: Option<bool>,
    /// `-D`: images that are packed are taken as they are. They always are.
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_external_decompression: Option<bool>,
    /// `-1` to `-9`; 0 is the default of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_level: Option<u64>,
    /// `-B`, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_window_size: Option<u64>,
    /// `-W`, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    input_window_size: Option<u64>,
    /// `-P`, bytes; a power of two.
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_duplicates_window: Option<u64>,
    /// `-I`
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction_buffer_size: Option<u64>,
}

impl XdeltaArgs {
    fn of(args: DeltaArgs) -> Self {
        let DeltaArgs {
            disable_checksum,
            disable_external_decompression,
            compression_level,
            source_window_size,
            input_window_size,
            compression_duplicates_window,
            instruction_buffer_size,
        } = args;
        Self {
            disable_checksum: disable_checksum.then_some(true),
            disable_external_decompression: disable_external_decompression.then_some(true),
            compression_level,
            source_window_size,
            input_window_size,
            compression_duplicates_window,
            instruction_buffer_size,
        }
    }

    fn read(self) -> DeltaArgs {
        DeltaArgs {
            disable_checksum: self.disable_checksum.unwrap_or_default(),
            disable_external_decompression: self.disable_external_decompression.unwrap_or_default(),
            compression_level: self.compression_level,
            source_window_size: self.source_window_size,
            input_window_size: self.input_window_size,
            compression_duplicates_window: self.compression_duplicates_window,
            instruction_buffer_size: self.instruction_buffer_size,
        }
    }
}

/// The arguments that a user chooses.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::artifacts) struct ChosenArgs {
    /// All of them: what is left out is as usual.
    #[serde(default)]
    xdelta_args: Option<XdeltaArgs>,
}

impl ChosenArgs {
    pub(in crate::artifacts) fn read(self) -> DeltaArgs {
        self.xdelta_args.unwrap_or_default().read()
    }
}

impl FromBody for ChosenArgs {
    const WHOLE: bool = true;

    fn refuse(error: &JsonError) -> ApiError {
        malformed(error)
    }
}

fn malformed(error: &JsonError) -> ApiError {
    ApiError::bad_request(format!("malformed JSON in request body: {error}"))
}

/// Bounds of a number, and what it is where nobody says.
#[derive(Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::artifacts) struct Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<u64>,
}

impl Range {
    fn of(range: DeltaRange) -> Option<Self> {
        let DeltaRange { min, max, default } = range;
        Some(Self { min, max, default }).filter(|range| *range != Self::default())
    }

    fn read(range: Option<Self>) -> DeltaRange {
        let Self { min, max, default } = range.unwrap_or_default();
        DeltaRange { min, max, default }
    }
}

/// What users may choose.
#[derive(Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::artifacts) struct ArgsLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_level: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_window_size: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_window_size: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_duplicates_window: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction_buffer_size: Option<Range>,
}

/// What users may choose, and how much is done at a time.
#[derive(Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::artifacts) struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    xdelta_args_limits: Option<ArgsLimits>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Range>,
    /// How many deltas are made at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs_in_parallel: Option<Range>,
    /// How many wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_length: Option<Range>,
}

impl Limits {
    fn of(limits: &DeltaLimits) -> Option<Self> {
        let args = ArgsLimits {
            compression_level: Range::of(limits.compression_level),
            source_window_size: Range::of(limits.source_window_size),
            input_window_size: Range::of(limits.input_window_size),
            compression_duplicates_window: Range::of(limits.compression_duplicates_window),
            instruction_buffer_size: Range::of(limits.instruction_buffer_size),
        };
        let limits = Self {
            xdelta_args_limits: Some(args).filter(|args| *args != ArgsLimits::default()),
            timeout: Range::of(limits.timeout),
            jobs_in_parallel: Range::of(limits.jobs_in_parallel),
            queue_length: Range::of(limits.queue_length),
        };
        Some(limits).filter(|limits| *limits != Self::default())
    }

    fn read(limits: Option<Self>) -> DeltaLimits {
        let limits = limits.unwrap_or_default();
        let args = limits.xdelta_args_limits.unwrap_or_default();
        DeltaLimits {
            compression_level: Range::read(args.compression_level),
            source_window_size: Range::read(args.source_window_size),
            input_window_size: Range::read(args.input_window_size),
            compression_duplicates_window: Range::read(args.compression_duplicates_window),
            instruction_buffer_size: Range::read(args.instruction_buffer_size),
            timeout: Range::read(limits.timeout),
            jobs_in_parallel: Range::read(limits.jobs_in_parallel),
            queue_length: Range::read(limits.queue_length),
        }
    }
}

#[derive(Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::artifacts) struct BinaryDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    xdelta_args: Option<XdeltaArgs>,
    /// For how many seconds a job may work.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
}

/// Whether deltas are made, and how.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::artifacts) struct Delta {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_delta: Option<BinaryDelta>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_delta_limits: Option<Limits>,
}

/// How deployments work for a tenant.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::artifacts) struct DeploymentsConfig {
    /// Absent where nobody said so: no deltas are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta>,
}

impl DeploymentsConfig {
    pub(in crate::artifacts) fn of(settings: Option<DeltaSettings>) -> Self {
        let delta = settings.map(|settings| {
            let DeltaSettings { enabled, args, timeout, limits } = settings;
            let args = Some(XdeltaArgs::of(args)).filter(|args| *args != XdeltaArgs::default());
            let delta = BinaryDelta { xdelta_args: args, timeout };
            let delta = Some(delta).filter(|delta| *delta != BinaryDelta::default());
            Delta { enabled, binary_delta: delta, binary_delta_limits: Limits::of(&limits) }
        });
        Self { delta }
    }

    pub(in crate::artifacts) fn read(self) -> DeltaSettings {
        let Delta { enabled, binary_delta, binary_delta_limits } = self.delta.unwrap_or_default();
        let BinaryDelta { xdelta_args, timeout } = binary_delta.unwrap_or_default();
        DeltaSettings {
            enabled,
            args: xdelta_args.unwrap_or_default().read(),
            timeout,
            limits: Limits::read(binary_delta_limits),
        }
    }
}

impl FromBody for DeploymentsConfig {
    const WHOLE: bool = true;

    fn refuse(error: &JsonError) -> ApiError {
        malformed(error)
    }
}

/// Whether deltas are made for a tenant.
#[derive(Serialize, ToSchema)]
pub(in crate::artifacts) struct TenantDeltas {
    pub(in crate::artifacts) tenant_id: String,
    pub(in crate::artifacts) enabled: bool,
}

/// What came of a job, as a worker says.
#[derive(Deserialize, ToSchema)]
pub(in crate::artifacts) struct WorkerStatus {
    /// `success`; all else is a failure.
    #[serde(default)]
    pub(in crate::artifacts) status: String,
}

impl FromBody for WorkerStatus {
    const TYPED: bool = false;
}

/// Between which releases a delta shall be made.
#[derive(Deserialize, ToSchema)]
pub(in crate::artifacts) struct NewDelta {
    /// The release that devices have.
    #[serde(default)]
    pub(in crate::artifacts) from_version: String,
    /// The release that they shall have.
    #[serde(default)]
    pub(in crate::artifacts) to_version: String,
    /// For which devices, where the releases have images for several.
    #[serde(default)]
    pub(in crate::artifacts) device_type: Option<String>,
}

impl FromBody for NewDelta {}

/// A job that makes a delta.
#[derive(Serialize, ToSchema)]
pub(in crate::artifacts) struct DeltaJob {
    id: String,
    /// The deployment that asked for it first; empty where none did.
    deployment_id: String,
    delta_job_id: String,
    /// The release that devices shall have.
    to_version: String,
    /// The release that they have.
    from_version: String,
    /// What happened, line by line.
    details: String,
    devices_types_compatible: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    started: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished: Option<Time>,
    /// Such as `5m42s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_time: Option<String>,
    /// `queued`, `pending`, `success` or `failed`.
    status: &'static str,
}

/// A job that makes a delta, with all that is known.
#[derive(Serialize, ToSchema)]
pub(in crate::artifacts) struct DeltaJobDetails {
    #[serde(flatten)]
    job: DeltaJob,
    // Compat: the list spells it otherwise.
    device_types_compatible: Vec<String>,
    to_release: String,
    from_release: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// The bytes of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_size: Option<u64>,
    /// The bytes of the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_artifact_size: Option<u64>,
}

/// The notes of a job as text.
fn details(job: &artifacts::DeltaJob) -> String {
    let mut details = String::new();
    for note in &job.notes {
        let at = Time::from_seconds(note.at.seconds());
        let _ = writeln!(details, "{at} {}", note.text);
    }
    details.truncate(details.trim_end().len());
    details
}

/// A time as clients read it: hours, minutes and whole seconds.
fn duration(from: Time, to: Time) -> String {
    let seconds = to.since(from).as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// The exit code of the tool that others make deltas with.
fn exit_code(status: DeltaStatus) -> Option<i32> {
    match status {
        DeltaStatus::Queued | DeltaStatus::Pending => None,
        DeltaStatus::Success => Some(0),
        DeltaStatus::Failed => Some(1),
    }
}

impl DeltaJob {
    pub(in crate::artifacts) fn of(job: artifacts::DeltaJob) -> Self {
        Self {
            details: details(&job),
            total_time: job.finished.map(|finished| duration(job.started, finished)),
            id: job.id.to_string(),
            deployment_id: job.deployment.unwrap_or_default(),
            delta_job_id: job.worker_id,
            to_version: job.to,
            from_version: job.from,
            devices_types_compatible: job.device_types,
            started: job.started,
            finished: job.finished,
            status: job.status.as_str(),
        }
    }
}

impl DeltaJobDetails {
    pub(in crate::artifacts) fn of(job: artifacts::DeltaJob) -> Self {
        Self {
            device_types_compatible: job.device_types.clone(),
            to_release: job.to.clone(),
            from_release: job.from.clone(),
            exit_code: exit_code(job.status),
            target_size: job.target_size,
            delta_artifact_size: job.delta_size,
            job: DeltaJob::of(job),
        }
    }
}

/// A parameter of a job.
#[derive(Serialize, ToSchema)]
struct Parameter {
    name: &'static str,
    value: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Cli {
    command: Vec<String>,
    output: String,
    error: String,
    exit_code: i32,
}

#[derive(Serialize, ToSchema)]
struct WorkResult {
    success: bool,
    cli: Cli,
}

/// A job that makes a delta, as workers show theirs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::artifacts) struct WorkflowJob {
    id: String,
    workflow_name: &'static str,
    input_parameters: Vec<Parameter>,
    /// `pending`, `processing`, `done` or `failed`.
    status: &'static str,
    results: Option<Vec<WorkResult>>,
}

impl WorkflowJob {
    pub(in crate::artifacts) fn of(job: artifacts::DeltaJob) -> Self {
        let output = details(&job);
        let result = exit_code(job.status).map(|exit_code| {
            let error = if exit_code == 0 { String::new() } else { output.clone() };
            let cli = Cli { command: Vec::new(), output, error, exit_code };
            vec![WorkResult { success: exit_code == 0, cli }]
        });
        let parameter = |name, value| Parameter { name, value };
        Self {
            id: job.worker_id,
            workflow_name: "generate_delta_artifact",
            input_parameters: vec![
                parameter("source_artifact_id", job.source.to_string()),
                parameter("target_artifact_id", job.target.to_string()),
            ],
            status: match job.status {
                DeltaStatus::Queued => "pending",
                DeltaStatus::Pending => "processing",
                DeltaStatus::Success => "done",
                DeltaStatus::Failed => "failed",
            },
            results: result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_no_fractions() {
        let shown = |millis| duration(Time(0), Time(millis));
        assert_eq!(shown(999), "0s");
        assert_eq!(shown(342_900), "5m42s");
        assert_eq!(shown(3_600_000), "1h0m0s");
        assert_eq!(shown(-1), "0s");
    }
}
