//! `doctor`: what is wrong, and how to mend it.

mod deep;
mod machine;

use std::{collections::BTreeMap, time::Duration};

use mender_core::{
    Env, Mender, NodeId, Time,
    blob::{BlobKey, collect, once},
    feed::{Feed, Node},
    jobs::{Claim, NewJob, Verdict},
};

use crate::{
    Distribution,
    assemble::{self, Opened, Opener, Schema},
    commands::print,
    failure::Failure,
    keys,
    settings::Settings,
};

/// How far clocks may be apart.
const SKEW: Duration = Duration::from_secs(2);

/// How long nodes are looked at: they say every second that they live.
const WATCH: Duration = Duration::from_millis(2500);

/// How far back nodes are looked for.
const RECENT: Duration = Duration::from_secs(300);

/// The kind of job that proves that the database can be written.
const PROBE: &str = "doctor/probe";

/// A thing that is wrong.
#[derive(Debug)]
struct Ill {
    what: String,
    mend: String,
}

fn ill<T>(what: &(impl ToString + ?Sized), mend: impl Into<String>) -> Result<T, Ill> {
    Err(Ill { what: what.to_string(), mend: mend.into() })
}

/// What was found, printed at once.
#[derive(Default)]
struct Report {
    wrong: usize,
}

impl Report {
    fn add(&mut self, name: &str, found: Result<String, Ill>) -> Result<(), Failure> {
        match found {
            Ok(fine) => print(&format!("ok     {name}: {fine}")),
            Err(Ill { what, mend }) => {
                self.wrong += 1;
                print(&format!("WRONG  {name}: {what}\n       {mend}"))
            }
        }
    }
}

pub(crate) async fn run(
    parts: &Distribution,
    settings: &Settings,
    is_deep: bool,
) -> Result<(), Failure> {
    let mut report = Report::default();
    report.add("keys", keys(settings))?;
    let server = &settings.server;
    let public = machine::tls(server.tls_cert.as_ref(), server.tls_key.as_ref(), None);
    let internal = machine::tls(
        server.internal_tls_cert.as_ref(),
        server.internal_tls_key.as_ref(),
        server.internal_tls_client_ca.as_ref(),
    );
    for (name, found) in [
        ("certificate", public),
        ("internal certificate", internal),
        ("public_url", machine::public_url(settings)),
        ("database files", machine::database_files(&settings.server)),
        ("open files", machine::open_files(server)),
    ] {
        if let Some(found) = found {
            report.add(name, found)?;
        }
    }
    match open(settings).await {
        Err(ill) => report.add("database", Err(ill))?,
        Ok(opened) => stored(parts, settings, opened, is_deep, &mut report).await?,
    }
    match report.wrong {
        0 => Ok(()),
        1 => Err(Failure::new("1 thing is wrong")),
        n => Err(Failure::new(format!("{n} things are wrong"))),
    }
}

/// Checks everything that needs the database.
async fn stored(
    parts: &Distribution,
    settings: &Settings,
    opened: Opened,
    is_deep: bool,
    report: &mut Report,
) -> Result<(), Failure> {
    let env = Env::system();
    let Opened { builder, feed, schema } = opened;
    let builder = builder.env(env.clone()).ephemeral_keys();
    let builder = match assemble::with_blobs(builder, settings, Opener::Look).await {
        Ok(builder) => builder,
        Err(failure) => {
            return report.add("blobs", ill(&failure, "see the settings that begin with blobs_"));
        }
    };
    let builder = assemble::configured(builder, settings)?;
    let mender = (parts.extend)(builder).build()?;
    let kind = settings.server.database_url().kind();
    let found = database(&mender, &env, schema).await;
    report.add("database", found.map(|fine| format!("{kind}; {fine}")))?;
    report.add("blobs", blobs(&mender, &env).await)?;
    if settings.server.bus_url.is_some() {
        report.add("bus", bus(&mender).await)?;
    }
    if schema.is_some_and(|schema| schema.applied != schema.known) {
        return Ok(());
    }
    let nodes = match feed {
        Some(feed) => watch(&*feed, &env).await,
        None => Ok(Vec::new()),
    };
    let runs = nodes.as_ref().is_ok_and(|nodes| nodes.iter().any(|(_, node)| node.runs));
    report.add("clocks", clocks(nodes))?;
    report.add("dead letters", dead_letters(&mender).await)?;
    report.add("events", events(&mender, runs).await)?;
    if is_deep {
        let sees_blobs = settings.blobs_url().0 != "memory:";
        report.add("stored data", deep::look(&mender, runs, sees_blobs).await)?;
    }
    Ok(())
}

fn keys(settings: &Settings) -> Result<String, Ill> {
    let signer = keys::signing_key(settings);
    if !signer.exists() {
        let what = format!("there is no key {}", signer.display());
        return match settings.keys.signing_key {
            None => ill(&what, "start the server once: it makes one"),
            Some(_) => ill(&what, "make one with `mender-server key generate --out FILE`"),
        };
    }
    if let Err(failure) = keys::load(settings) {
        return ill(&failure, "name a readable PEM file with an Ed25519 or RSA private key");
    }
    let files = keys::files(settings);
    for path in &files {
        let path = path.display();
        match keys::is_exposed(path.to_string().as_ref()) {
            Ok(false) => {}
            Ok(true) => {
                let what = format!("others can read or change {path}");
                return ill(&what, format!("chmod 600 {path}"));
            }
            Err(error) => return ill(&format!("{path}: {error}"), "make the file readable"),
        }
    }
    let shared = files.iter().filter(|path| keys::is_shared(path)).count();
    Ok(match shared {
        0 => format!("{} readable by nobody else", files.len()),
        _ => format!("{}, of which {shared} may be read by their group", files.len()),
    })
}

async fn open(settings: &Settings) -> Result<Opened, Ill> {
    let url = settings.server.database_url();
    if let Some(path) = url.0.strip_prefix("sqlite://")
        && !std::path::Path::new(path).exists()
    {
        let mend = "start the server once, or run `mender-server migrate`: it makes one";
        return ill(&format!("there is none at {path}"), mend);
    }
    let opened = assemble::stores(&settings.server, Opener::Look).await;
    let mend = "check the setting database_url, and that the database runs and can be reached";
    opened.or_else(|failure| ill(&failure, mend))
}

async fn database(mender: &Mender, env: &Env, schema: Option<Schema>) -> Result<String, Ill> {
    if let Some(Schema { applied, known }) = schema
        && applied != known
    {
        let what = format!("its schema has version {applied}; this program needs {known}");
        return ill(&what, "run `mender-server migrate`");
    }
    let mend = "check that the database runs, is not full and may be written";
    let written = write(mender, env).await;
    written.or_else(|error| ill(&Failure::from(error), mend))?;
    Ok(match schema {
        Some(schema) => format!("can be written; its schema has version {}", schema.applied),
        None => "can be written".into(),
    })
}

/// Writes a job that nobody else runs, and takes it away again.
async fn write(mender: &Mender, env: &Env) -> mender_core::StoreResult<()> {
    let (jobs, now) = (mender.jobs(), env.now());
    let probe = NewJob {
        kind: PROBE.into(),
        key: env.uuid(),
        lane: String::new(),
        due_at: now,
        payload: serde_json::Value::Null,
    };
    jobs.put_jobs(&[probe]).await?;
    let claim = Claim { kinds: vec![PROBE.into()], now, lease_until: now + SKEW, limit: 100 };
    let claimed = jobs.claim_jobs(&claim).await?;
    let done: Vec<_> = claimed.into_iter().map(|job| (job, Verdict::Done)).collect();
    jobs.settle_jobs(&done).await
}

async fn blobs(mender: &Mender, env: &Env) -> Result<String, Ill> {
    let mend = "check the settings that begin with blobs_, and that the place may be written and \
                is not full";
    let (blobs, text) = (mender.blobs(), env.uuid());
    let probe = async {
        blobs.check_blobs().await?;
        let Some(key) = BlobKey::new(format!("doctor/{text}")) else { return Ok(None) };
        blobs.put_blob(&key, once(text.clone())).await?;
        let read = match blobs.blob(&key, None).await? {
            Some(bytes) => Some(collect(bytes).await?),
            None => None,
        };
        blobs.delete_blob(&key).await?;
        Ok(read)
    };
    let read: mender_core::StoreResult<_> = probe.await;
    match read {
        Ok(Some(read)) if read == text => Ok("can be written and read".into()),
        Ok(_) => ill("what was written was not read", mend),
        Err(error) => ill(&error, mend),
    }
}

async fn bus(mender: &Mender) -> Result<String, Ill> {
    let mend = "check the setting bus_url, and that NATS runs and can be reached; until then nodes \
                hear of changes up to a second later";
    let answer = mender.bus().check_bus().await;
    answer.map(|()| "NATS answers".into()).or_else(|error| ill(&Failure::from(error), mend))
}

/// Returns the nodes that live, with our clock when each last said so.
async fn watch(feed: &dyn Feed, env: &Env) -> mender_core::StoreResult<Vec<(Time, Node)>> {
    let mut seen: BTreeMap<NodeId, (Time, Node)> = BTreeMap::new();
    let mut alive: BTreeMap<NodeId, (Time, Node)> = BTreeMap::new();
    let end = env.now() + WATCH;
    loop {
        let now = env.now();
        for node in feed.nodes(now - RECENT).await? {
            let id = node.id.clone();
            match seen.get(&id) {
                Some((_, known)) if known.at == node.at => continue,
                Some(_) => alive.insert(id.clone(), (now, node.clone())),
                None => None,
            };
            seen.insert(id, (now, node));
        }
        if now >= end || seen.is_empty() {
            return Ok(alive.into_values().collect());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn clocks(nodes: mender_core::StoreResult<Vec<(Time, Node)>>) -> Result<String, Ill> {
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(error) => return ill(&error, "check the database"),
    };
    for (ours, node) in &nodes {
        let apart = node.at.since(*ours).max(ours.since(node.at));
        if apart > SKEW {
            let what = format!("the clock of node {} is {apart:?} from this one's", node.id);
            return ill(&what, "synchronise the clocks of all machines, for instance by NTP");
        }
    }
    Ok(match nodes.len() {
        0 => "no server runs".into(),
        n => format!("{n} running, at most {SKEW:?} apart"),
    })
}

async fn dead_letters(mender: &Mender) -> Result<String, Ill> {
    const MANY: usize = 1000;
    match mender.jobs().dead_jobs(MANY).await {
        Ok(dead) if dead.is_empty() => Ok("none".into()),
        Ok(dead) => {
            let more = if dead.len() == MANY { " or more" } else { "" };
            let mend = "see `mender-server events list`, mend the cause, then run `mender-server \
                        events redrive`";
            ill(&format!("{}{more}", dead.len()), mend)
        }
        Err(error) => ill(&error, "check the database"),
    }
}

async fn events(mender: &Mender, runs: bool) -> Result<String, Ill> {
    match mender.undelivered().await {
        Ok(0) => Ok("all delivered".into()),
        Ok(count) if runs => Ok(format!("{count} on their way")),
        Ok(count) => {
            let what = format!("{count} are not delivered, and no server runs");
            ill(&what, "start the server: it delivers them")
        }
        Err(error) => ill(&Failure::from(error), "check the database"),
    }
}
