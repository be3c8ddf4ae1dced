//! From settings to the parts of a server: which adapter serves which scheme.

use std::{path::Path, sync::Arc};

use mender_core::{
    Builder, Mender,
    blob::{Blobs, OpenBlobs},
    feed::Feed,
    kit::MemoryStores,
};

use crate::{
    failure::Failure,
    settings::{Inventory, Server, Settings},
};

/// Who opens the stores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opener {
    /// The server. An embedded database has one at a time.
    Server,
    /// A command beside the server, or without one.
    Command,
    /// The command that brings the schema up to date.
    Migrate,
    /// A command that only looks.
    Look,
    /// The command that fills an empty database, whatever its schema.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "other databases have tools of their own for that")
    )]
    Restore,
}

/// How far the schema of a database is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Schema {
    pub(crate) applied: i64,
    pub(crate) known: i64,
}

/// A database that was opened.
pub(crate) struct Opened {
    /// The builder, with its stores.
    pub(crate) builder: Builder,
    /// The nodes that work on the database; `None` where it belongs to this process.
    pub(crate) feed: Option<Arc<dyn Feed>>,
    /// `None` where the database has no schema.
    pub(crate) schema: Option<Schema>,
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mongodb"))]
fn opened<S: mender_core::Stores + Clone>(stores: S, schema: Option<Schema>) -> Opened {
    let feed: Arc<dyn Feed> = Arc::new(stores.clone());
    Opened { builder: Mender::builder().stores(stores), feed: Some(feed), schema }
}

fn memory() -> Opened {
    Opened { builder: Mender::builder().stores(MemoryStores::default()), feed: None, schema: None }
}

/// Opens the database.
pub(crate) async fn stores(server: &Server, opener: Opener) -> Result<Opened, Failure> {
    let url = server.database_url();
    let opened = match url.scheme() {
        "memory" if opener == Opener::Command => Err(Failure::new(
            "a database in memory belongs to one process: commands need database_url to name \
             another one",
        )),
        "memory" => Ok(memory()),
        "mongodb" | "mongodb+srv" => mongodb(server, &url.0, opener).await,
        _ => sql(server, &url.0, opener).await,
    };
    opened.map_err(|failure| of_database(failure, &url.0))
}

/// Says that it is about the database, and where that is unless it is known.
pub(crate) fn of_database(failure: Failure, url: &str) -> Failure {
    let path = url.strip_prefix("sqlite://").map(Path::new);
    let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
    match path {
        Some(path) if !failure.to_string().contains(&*folder.to_string_lossy()) => {
            failure.during(format!("database {}", path.display()))
        }
        _ => failure.during("database"),
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn sql(server: &Server, url: &str, opener: Opener) -> Result<Opened, Failure> {
    let (store, schema) = sql_store(server, url, opener).await?;
    Ok(opened(store, Some(schema)))
}

/// Opens a SQL database, with the schema that the opener needs.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) async fn sql_store(
    server: &Server,
    url: &str,
    opener: Opener,
) -> Result<(mender_store::SqlStore, Schema), Failure> {
    use mender_store::{Role, SqlStore, sql::MIGRATIONS};

    let embedded = url.strip_prefix("sqlite://");
    if let Some(path) = embedded
        && opener != Opener::Look
    {
        make_parent(Path::new(path))?;
    }
    let role = match opener {
        Opener::Server | Opener::Restore => Role::Server,
        Opener::Command | Opener::Migrate | Opener::Look => Role::Tool,
    };
    let store = SqlStore::options()
        .role(role)
        .cache_bytes(u64::from(server.database_cache_mb) << 20)
        .pool(server.database_pool_size)
        .schema(&server.database_schema)
        .open(url)
        .await?;
    let known = MIGRATIONS.last().map_or(0, |last| last.version);
    let applied = store.version().await?;
    let migrates = match opener {
        Opener::Migrate => true,
        Opener::Look | Opener::Restore => false,
        Opener::Server | Opener::Command => embedded.is_some() || server.automigrate,
    };
    if applied == known || matches!(opener, Opener::Look | Opener::Restore) {
        return Ok((store, Schema { applied, known }));
    }
    if !migrates {
        return Err(Failure::new(format!(
            "its schema has version {applied}, and this program needs version {known}: run \
             `mender-server migrate`, or start with MENDER_AUTOMIGRATE=1"
        )));
    }
    tracing::info!(from = applied, to = known, "bringing the schema of the database up to date");
    let schema = Schema { applied: known, known };
    Ok((store.migrate().await?, schema))
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
async fn sql(_: &Server, url: &str, _: Opener) -> Result<Opened, Failure> {
    let feature = if url.starts_with("sqlite") { "sqlite" } else { "postgres" };
    Err(without(feature))
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn make_parent(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;

    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    parent.map_or(Ok(()), |dir| {
        // What is in it is nobody else's to read.
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(dir);
        made.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::new(format!("{} is no folder: name another one", dir.display()))
            }
            _ => Failure::of_file(dir, &error),
        })
    })
}

#[cfg(feature = "mongodb")]
async fn mongodb(_: &Server, url: &str, _: Opener) -> Result<Opened, Failure> {
    let docs = mender_store::MongoDocs::open(url).await?;
    Ok(opened(mender_core::kit::Kit::new(docs), None))
}

#[cfg(not(feature = "mongodb"))]
async fn mongodb(_: &Server, _: &str, _: Opener) -> Result<Opened, Failure> {
    Err(without("mongodb"))
}

/// Adds the place of large objects. The server makes a bucket that is missing, and does not start
/// where the place can't be used.
pub(crate) async fn with_blobs(
    builder: Builder,
    settings: &Settings,
    opener: Opener,
) -> Result<Builder, Failure> {
    let url = settings.blobs_url().0;
    if url == "memory:" {
        return Ok(builder.blobs(mender_core::blob::MemoryBlobs::default()));
    }
    let opened = blobs(&url, settings, opener).await;
    let (blobs, of_tenants) = opened.map_err(|failure| failure.during("blobs"))?;
    Ok(builder.blobs(blobs).open_blobs(of_tenants))
}

/// A place for large objects, and what opens those of tenants.
type OpenedBlobs = (Arc<dyn Blobs>, Arc<dyn OpenBlobs>);

#[cfg(any(feature = "fs", feature = "s3", feature = "azure", feature = "gcs"))]
pub(crate) async fn blobs(
    url: &str,
    settings: &Settings,
    opener: Opener,
) -> Result<OpenedBlobs, Failure> {
    use mender_core::secret::Secret;

    let largest = settings.artifacts.artifact_max_bytes;
    let settings = &settings.blobs;

    let read = |path: &std::path::PathBuf| {
        let failed = |e| Failure::new(format!("{}: {e}", path.display()));
        std::fs::read(path).map_err(failed)
    };
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut options = mender_store::BlobOptions::default()
        .variables(variables)
        .largest(largest)
        .prepares(matches!(opener, Opener::Server | Opener::Restore));
    if let (Some(id), Some(secret)) = (&settings.blobs_key, &settings.blobs_secret) {
        options = options.key(id, secret.clone());
    }
    if let Some(token) = &settings.blobs_token {
        options = options.token(token.clone());
    }
    if let Some(text) = &settings.blobs_connection_string {
        options = options.connection_string(text.clone());
    }
    if let Some(path) = &settings.blobs_service_account {
        let json = String::from_utf8_lossy(&read(path)?).into_owned();
        options = options.service_account(Secret::new(json));
    }
    if let Some(path) = &settings.blobs_ca {
        options = options.authorities(read(path)?);
    }
    Ok((options.open(url).await?, Arc::new(options.tenant_stores())))
}

#[cfg(not(any(feature = "fs", feature = "s3", feature = "azure", feature = "gcs")))]
pub(crate) async fn blobs(_: &str, _: &Settings, _: Opener) -> Result<OpenedBlobs, Failure> {
    Err(Failure::new("built without a feature that keeps large objects"))
}

#[cfg_attr(
    all(
        feature = "sqlite",
        feature = "postgres",
        feature = "mongodb",
        feature = "opensearch",
        feature = "nats"
    ),
    expect(dead_code, reason = "nothing is left out")
)]
fn without(feature: &str) -> Failure {
    Failure::new(format!("built without the `{feature}` feature"))
}

/// Adds what answers reports, where it is not the database.
fn with_index(builder: Builder, settings: &Inventory) -> Result<Builder, Failure> {
    match &settings.search_url {
        Some(url) => index(builder, settings, &url.0).map_err(|f| f.during("search")),
        None => Ok(builder),
    }
}

#[cfg(feature = "opensearch")]
fn index(builder: Builder, settings: &Inventory, url: &str) -> Result<Builder, Failure> {
    let options = mender_store::OpenSearch::options()
        .name(&settings.search_index)
        .shards(settings.search_shards)
        .replicas(settings.search_replicas.into());
    Ok(builder.search_index(options.open(url)?))
}

#[cfg(not(feature = "opensearch"))]
fn index(_: Builder, _: &Inventory, _: &str) -> Result<Builder, Failure> {
    Err(without("opensearch"))
}

/// Adds what carries messages between nodes, where there is more than one.
fn with_bus(builder: Builder, server: &Server) -> Result<Builder, Failure> {
    match &server.bus_url {
        Some(url) => bus(builder, &url.0).map_err(|f| f.during("bus")),
        None => Ok(builder),
    }
}

#[cfg(feature = "nats")]
fn bus(builder: Builder, url: &str) -> Result<Builder, Failure> {
    Ok(builder.bus(mender_store::NatsBus::open(url)?))
}

#[cfg(not(feature = "nats"))]
fn bus(_: Builder, _: &str) -> Result<Builder, Failure> {
    Err(without("nats"))
}

/// Adds what the settings of the areas say.
pub(crate) fn configured(builder: Builder, settings: &Settings) -> Result<Builder, Failure> {
    let url = settings.server.public_url.as_ref();
    let builder = with_index(builder, &settings.inventory)?;
    let builder = with_bus(builder, &settings.server)?;
    Ok(builder
        .public_url(url.map(|url| url.0.clone()).unwrap_or_default())
        .auth_config(settings.auth.config())
        .artifacts_config(settings.artifacts.config(&settings.server.data_dir))
        .deployments_config(settings.deployments.config(settings.limits.pace()))
        .inventory_config(settings.inventory.config())
        .users_config(settings.users_config()))
}
