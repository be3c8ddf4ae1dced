//! What benches of a whole server have in common.

pub(crate) mod client;
pub(crate) mod load;
pub(crate) mod rounds;

use mender::store::{
    SqlStore,
    sql::{Batch, Stmt},
    vals,
};

pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Where the databases of a bench are: SQLite in a folder that goes with this, or PostgreSQL.
pub(crate) struct Places {
    dir: Option<tempfile::TempDir>,
    server: String,
    schemas: Vec<(SqlStore, String)>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example that is told by the environment which server to use"
)]
fn server() -> Option<String> {
    std::env::var("MENDER_TEST_POSTGRES").ok()
}

impl Places {
    /// Uses SQLite in a folder below `dir`, or PostgreSQL where `MENDER_TEST_POSTGRES` is set.
    pub(crate) fn new(dir: &str) -> Result<Self, Fault> {
        let server = server();
        println!("{}", if server.is_some() { "PostgreSQL" } else { "SQLite" });
        let dir = if server.is_some() { None } else { Some(tempfile::tempdir_in(dir)?) };
        Ok(Self { dir, server: server.unwrap_or_default(), schemas: Vec::new() })
    }

    /// Returns a store that has so many devices.
    pub(crate) async fn stored(
        &mut self,
        size: usize,
        devices: load::Devices,
    ) -> Result<SqlStore, Fault> {
        let options = SqlStore::options();
        if let Some(dir) = &self.dir {
            let url = format!("sqlite://{}", dir.path().join(format!("{size}.db")).display());
            return load::stored(&options, &url, size, devices).await;
        }
        let schema = format!("bench_{size}_{}", mender::Env::system().object_id());
        let store = load::stored(&options.schema(&schema), &self.server, size, devices).await?;
        self.schemas.push((store.clone(), schema));
        Ok(store)
    }

    /// Removes what a server of databases would keep.
    pub(crate) async fn remove(self) -> Result<(), Fault> {
        for (store, schema) in self.schemas {
            let drop = Stmt::dynamic(format!("DROP SCHEMA \"{schema}\" CASCADE"));
            store.sql().run(Batch::of(drop, vals![])).await?;
        }
        Ok(())
    }
}

/// Returns what the process has in memory, and had at most.
pub(crate) fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.unwrap_or_default().replace(name, "").trim().to_owned()
    };
    format!("RSS {}, at most {}", of("VmRSS:"), of("VmHWM:"))
}
