use std::{collections::HashSet, fs, process::Command, time::Duration};

use libtest_mimic::Failed;
use mender_core::{
    Ctx, Env, TenantId, Time,
    auth::{DeviceFilter, Identity, Status},
    env::{Clock, Entropy},
    page::{MAX_PAGE, PageRequest},
};
use mender_store::Role;

use crate::{
    load::Journal,
    server::{self, Place},
};

/// The machine's time, but later: the leases of the dead have ended.
struct Later(Env);

impl Clock for Later {
    fn now(&self) -> Time {
        self.0.now() + Duration::from_secs(300)
    }
}

impl Entropy for Later {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(16) {
            chunk.copy_from_slice(&self.0.bytes::<16>()[..chunk.len()]);
        }
    }
}

/// Checks that every promise was kept; returns what was there, in words.
pub(crate) fn check(place: &Place, journal: &Journal) -> Result<String, Failed> {
    let asked = journal.asked.lock().unwrap();
    let accepted = journal.accepted.lock().unwrap();
    let (devices, events) = server::runtime()?.block_on(async {
        let later = || Later(Env::system());
        let builder = server::builder(place, Role::Server).await?;
        let mender = builder.env(Env::new(later(), later())).build()?;
        mender.drain().await?;
        assert_eq!(mender.undelivered().await?, 0, "events are left undelivered");
        assert!(mender.jobs().dead_jobs(1).await?.is_empty(), "a delivery was given up");

        let ctx = Ctx::system(TenantId::default());
        for identity in asked.iter() {
            let found = mender.auth().device_by_identity(&ctx, &Identity::parse(identity)?).await?;
            assert!(found.is_some(), "{identity} was answered and is not there");
        }
        let mut devices = Vec::new();
        for number in 1.. {
            let page = PageRequest::new(number, MAX_PAGE);
            let page = mender.auth().devices(&ctx, DeviceFilter::default(), page).await?;
            devices.extend(page.items.into_iter().map(|view| view.device));
            if !page.more {
                break;
            }
        }
        let by_status: HashSet<(String, Status)> =
            devices.iter().map(|d| (d.id.to_string(), d.status)).collect();
        for id in accepted.iter() {
            let kept = by_status.contains(&(id.clone(), Status::Accepted));
            assert!(kept, "{id} was accepted and is not");
        }
        let mut events = 0;
        for (ear, _) in server::EARS {
            let heard = fs::read_to_string(place.dir.join(ear))?;
            let heard: HashSet<&str> = heard.lines().collect();
            events = heard.len();
            for device in &devices {
                let id = &device.id;
                let recorded = format!("device.recorded {id} null");
                assert!(heard.contains(recorded.as_str()), "{ear} did not hear: {recorded}");
                if device.status == Status::Accepted {
                    let told = format!("device.status_changed {id} \"accepted\"");
                    assert!(heard.contains(told.as_str()), "{ear} did not hear: {told}");
                }
            }
        }
        Ok::<_, Failed>((devices.len(), events))
    })?;
    doctor(place)?;
    Ok(format!(
        "{} rounds, {} requests and {} acceptances answered; {devices} devices, {events} events",
        crate::ROUNDS,
        asked.len(),
        accepted.len(),
    ))
}

/// Has the server's own check-up look at what is left.
fn doctor(place: &Place) -> Result<(), Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_mender-server"))
        .args(["doctor", "--deep"])
        .env("MENDER_DATABASE_URL", &place.database)
        .env("MENDER_DATABASE_SCHEMA", &place.schema)
        .env("MENDER_DATA_DIR", &place.dir)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("doctor: {}", String::from_utf8_lossy(&said)).into())
}
