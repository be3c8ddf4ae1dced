//! From rows to what they hold.

use mender_core::{
    StoreError, StoreResult,
    deployments::{Deployment, DeviceDeployment, DeviceIds, Ended, Payload, Status, Targets},
};

use crate::sql::value::Row;

/// The number of a status in the tables: its place among all of them, which is the order of lists.
pub(super) fn code(status: Status) -> i64 {
    status as i64
}

pub(super) fn status(code: i64) -> StoreResult<Status> {
    let found = usize::try_from(code).ok().and_then(|code| Status::ALL.get(code));
    found.copied().ok_or_else(|| StoreError::corrupt("column status", format!("no status: {code}")))
}

fn opt_status(row: &Row, col: &str) -> StoreResult<Option<Status>> {
    row.opt_int(col)?.map(status).transpose()
}

/// Reads a number that is never large.
pub(super) fn number(n: Option<i64>) -> StoreResult<Option<u32>> {
    n.map(u32::try_from).transpose().map_err(|e| StoreError::corrupt("a number", e))
}

pub(super) fn deployment(row: &Row) -> StoreResult<Deployment> {
    let configuration = row.opt_text("configuration")?;
    Ok(Deployment {
        id: row.parse("id")?,
        name: row.text("name")?.to_owned(),
        artifact_name: row.text("artifact_name")?.to_owned(),
        force_installation: row.flag("force_installation")?,
        payload: configuration
            .map_or(Payload::Software, |text| Payload::Configuration(text.to_owned())),
        audience: row.json("audience")?,
        groups: row.json("group_names")?,
        fingerprint: row.opt_text("fingerprint")?.map(str::to_owned),
        max_devices: row.int("max_devices")?.cast_unsigned(),
        rollout: row.json("rollout")?,
        conduct: row.json("conduct")?,
        ticket: row.text("ticket")?.to_owned(),
        created: row.time("created")?,
        state: row.name("state")?,
        finished: row.opt_time("finished")?,
        artifacts: row.json("artifacts")?,
        tally: match row.is_null("tally")? {
            true => None,
            false => Some(row.json("tally")?),
        },
        version: row.version("version")?,
    })
}

pub(super) fn targets(row: &Row) -> StoreResult<Targets> {
    Ok(Targets {
        key: row.text("id")?.to_owned(),
        ticket: row.text("ticket")?.to_owned(),
        devices: DeviceIds::from_json(row.text("devices")?),
        version: row.version("version")?,
    })
}

pub(super) fn device(row: &Row) -> StoreResult<DeviceDeployment> {
    let (deployment, device) = (row.text("deployment_id")?, row.text("device_id")?);
    let attempt = row.int("attempt")?;
    let ended = match (opt_status(row, "ended_status")?, row.opt_time("ended_at")?) {
        (Some(status), Some(at)) => Some(Ended { status, at }),
        _ => None,
    };
    Ok(DeviceDeployment {
        key: format!("{deployment}/{device}/{attempt}"),
        deployment: row.parse("deployment_id")?,
        device: row.parse("device_id")?,
        attempt: u32::try_from(attempt).map_err(|e| StoreError::corrupt("column attempt", e))?,
        stage: row.name("stage")?,
        record: row.text("record_id")?.to_owned(),
        status: status(row.int("status")?)?,
        substate: row.text("substate")?.to_owned(),
        created: row.time("created")?,
        started: row.opt_time("started")?,
        finished: row.opt_time("finished")?,
        deleted: row.opt_time("deleted")?,
        replaced: row.flag("replaced")?,
        request: match row.is_null("request")? {
            true => None,
            false => Some(row.json("request")?),
        },
        phase: number(row.opt_int("phase")?)?,
        tries: number(Some(row.int("tries")?))?.unwrap_or_default(),
        failed: row.flag("failed")?,
        heard: row.opt_time("heard")?,
        fetching: row.flag("fetching")?,
        shares: row.flag("shares")?,
        outcome: match row.is_null("outcome")? {
            true => None,
            false => Some(row.json("outcome")?),
        },
        artifact: match row.is_null("artifact_id")? {
            true => None,
            false => Some(row.parse("artifact_id")?),
        },
        bytes: row.int("bytes")?.cast_unsigned(),
        log: row.flag("log")?,
        ended,
        late: opt_status(row, "late")?,
        round: number(Some(row.int("round")?))?.unwrap_or_default(),
        version: row.version("version")?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Status, code, status};

    #[test]
    fn numbers_of_statuses_never_change() {
        use Status::{
            Aborted, AlreadyInstalled, ArtifactTooBig, Decommissioned, Downloading, Failure,
            IncompatibleTier, Installing, NoArtifact, PauseBeforeCommitting, PauseBeforeInstalling,
            PauseBeforeRebooting, Pending, Rebooting, Success,
        };
        let numbers = [
            (Failure, 0),
            (Aborted, 1),
            (PauseBeforeInstalling, 2),
            (PauseBeforeCommitting, 3),
            (PauseBeforeRebooting, 4),
            (Downloading, 5),
            (Installing, 6),
            (Rebooting, 7),
            (Pending, 8),
            (Success, 9),
            (NoArtifact, 10),
            (AlreadyInstalled, 11),
            (Decommissioned, 12),
            (ArtifactTooBig, 13),
            (IncompatibleTier, 14),
        ];
        assert_eq!(numbers.map(|(status, _)| status), Status::ALL);
        for (known, number) in numbers {
            assert_eq!((code(known), status(number).unwrap()), (number, known));
        }
        assert!(status(-1).is_err() && status(15).is_err());
    }
}
