use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
};

use async_trait::async_trait;
use libtest_mimic::Failed;
use mender_core::{
    Builder, Ctx, Env, Event, Mender, TenantId,
    event::{Delivery, Kinds, Outcome, Subscriber},
    secret::HashCost,
    token::{Key, KeyKind, Keyring},
    users::{self, NewUser},
};
use mender_store::{Role, SqlStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const EMAIL: &str = "crash@example.com";
pub(crate) const PASSWORD: &str = "correct horse";

/// Writes down every event that it hears, one line each.
struct Ear {
    name: &'static str,
    delivery: Delivery,
    file: Mutex<File>,
}

#[async_trait]
impl Subscriber for Ear {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kinds(&self) -> Kinds {
        Kinds::All
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        let mut file = self.file.lock().unwrap();
        for event in events {
            // One write: a line is there whole, or not at all.
            let line = format!("{} {} {}\n", event.kind, event.key, event.payload["status"]);
            file.write_all(line.as_bytes()).unwrap();
        }
        events.iter().map(|_| Outcome::Done).collect()
    }
}

/// The ears of all kinds: each must hear every event.
pub(crate) const EARS: [(&str, Delivery); 3] =
    [("prompt", Delivery::Prompt), ("job", Delivery::Job), ("ordered", Delivery::Ordered)];

fn key_file(dir: &Path) -> PathBuf {
    dir.join("keys/private.pem")
}

/// Where a server keeps everything.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) database: String,
    /// The schema of its own, in a database that others use too.
    pub(crate) schema: String,
    pub(crate) dir: PathBuf,
}

/// A server at the place, without its environment.
pub(crate) async fn builder(place: &Place, role: Role) -> Result<Builder, Failed> {
    let Place { database, schema, dir } = place;
    let pem = fs::read_to_string(key_file(dir))?;
    let store =
        SqlStore::options().role(role).schema(schema).open(database).await?.migrate().await?;
    let cheap = users::Config { hash_cost: HashCost::CHEAPEST, ..users::Config::default() };
    let mut builder = Mender::builder()
        .stores(store)
        .keys(Keyring::new(Key::from_pem(&pem, 0)?))
        .users_config(cheap);
    for (name, delivery) in EARS {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(dir.join(name))?;
        builder = builder.subscriber(Ear { name, delivery, file: Mutex::new(file) });
    }
    Ok(builder)
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Makes the key and the user.
pub(crate) fn prepare(place: &Place) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;

    let file = key_file(&place.dir);
    fs::create_dir(place.dir.join("keys"))?;
    fs::write(&file, Key::generate(&Env::system(), KeyKind::Ed25519)?)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    runtime()?.block_on(async {
        let mender = builder(place, Role::Server).await?.build()?;
        let new = NewUser {
            email: EMAIL.parse()?,
            password: PASSWORD.into(),
            id: None,
            roles: Vec::new(),
        };
        let ctx = Ctx::system(TenantId::default());
        match mender.users().create(&ctx, &new).await {
            Err(error) if error.what == "email" => Ok(()),
            answer => answer.map(|_| ()).map_err(Failed::from),
        }
    })
}

/// The part that the server plays in its own process.
pub(crate) struct Child(Place);

impl Child {
    pub(crate) fn from_env() -> Option<Self> {
        let database = env::var("MENDER_CRASH_CHILD").ok()?;
        let schema = env::var("MENDER_CRASH_SCHEMA").ok()?;
        let dir = env::var_os("MENDER_CRASH_DIR")?.into();
        Some(Self(Place { database, schema, dir }))
    }

    /// Serves until it is killed.
    pub(crate) fn serve(self) -> ExitCode {
        let served: Result<(), Failed> = runtime().and_then(|runtime| {
            runtime.block_on(async {
                let mender = builder(&self.0, Role::Server).await?.build()?;
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                println!("{}", listener.local_addr()?);
                let app = mender_http::router(mender.clone());
                let serve = async { axum::serve(listener, app).await };
                let (served, ()) = tokio::join!(serve, mender.run(CancellationToken::new()));
                Ok(served?)
            })
        });
        eprintln!("{served:?}");
        ExitCode::FAILURE
    }
}

/// A server in a process of its own.
pub(crate) struct Killable {
    child: std::process::Child,
    pub(crate) address: String,
}

impl Killable {
    pub(crate) fn start(place: &Place) -> Result<Self, Failed> {
        let mut child = Command::new(env::current_exe()?)
            .env("MENDER_CRASH_CHILD", &place.database)
            .env("MENDER_CRASH_SCHEMA", &place.schema)
            .env("MENDER_CRASH_DIR", &place.dir)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address)?;
        if address.is_empty() {
            let _ = child.wait();
            return Err("the server did not start".into());
        }
        Ok(Self { child, address: address.trim().to_owned() })
    }

    /// Ends it as a power cut would: no handler runs.
    pub(crate) fn kill(&mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}
