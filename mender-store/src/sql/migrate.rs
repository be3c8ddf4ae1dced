use mender_core::{StoreError, StoreResult};

/// A step of the schema: forward only, the same number and name for both databases.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number, from 1.
    pub version: i64,
    /// Its name.
    pub name: &'static str,
    /// The statements for SQLite.
    pub sqlite: &'static str,
    /// The statements for PostgreSQL.
    pub postgres: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal,)+) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }),+]
    };
}

/// Every migration, in order.
pub const MIGRATIONS: &[Migration] = migrations! {
    1 "0001_kernel",
    2 "0002_tenants",
    3 "0003_users",
    4 "0004_auth",
    5 "0005_inventory",
    6 "0006_artifacts",
    7 "0007_deltas",
    8 "0008_deployments",
    9 "0009_rollouts",
    10 "0010_safety",
    11 "0011_deployment_settings",
    12 "0012_shares",
    13 "0013_tallies",
    14 "0014_rounds",
};

/// Which migrations were applied.
pub(crate) const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)";

pub(crate) const RECORD: &str = "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)";

pub(crate) const LAST: &str =
    "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM schema_migrations";

/// Returns those that a database of this version lacks.
///
/// # Errors
/// Where the database is newer than the program.
pub(crate) fn missing(
    applied: i64,
    migrations: &'static [Migration],
) -> StoreResult<impl Iterator<Item = &'static Migration>> {
    let known = migrations.last().map_or(0, |last| last.version);
    if applied > known {
        return Err(StoreError::unavailable(format!(
            "the database has schema version {applied}, and this program knows versions up to \
             {known} only: use a newer program"
        )));
    }
    Ok(migrations.iter().filter(move |m| m.version > applied))
}
