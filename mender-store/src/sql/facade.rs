use std::{borrow::Cow, fmt, sync::Arc};

use async_trait::async_trait;
use mender_core::{StoreError, StoreResult};

use super::{
    dump::{Dump, Fill},
    migrate::Migration,
    value::{Row, Val},
};

/// A statement in the common subset of the databases, or one for each.
///
/// Parameters are `$1`, `$2` … Where a parameter is a list, `@in($n)` stands for `IN (…)`; where
/// it holds rows, `@rows($n)` stands for `VALUES …`, and must be the last parameter. `@index(name)`
/// after a table makes SQLite use this index. Sums and
/// other numbers that are not 64 bits wide need a `CAST(… AS BIGINT)`.
#[derive(Clone, Debug)]
pub struct Stmt {
    sqlite: Cow<'static, str>,
    postgres: Cow<'static, str>,
}

/// Both texts of a statement, for drivers and tests.
pub type Texts<'a> = (&'a Cow<'static, str>, &'a Cow<'static, str>);

impl Stmt {
    /// The same text for both databases.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self::each(text, text)
    }

    /// A text for each database.
    #[must_use]
    pub const fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite: Cow::Borrowed(sqlite), postgres: Cow::Borrowed(postgres) }
    }

    /// A statement made at run time, with no value in its text.
    #[must_use]
    pub fn dynamic(text: String) -> Self {
        Self { sqlite: Cow::Owned(text.clone()), postgres: Cow::Owned(text) }
    }

    /// A statement made at run time for each database, with no value in its text.
    #[must_use]
    pub fn dynamic_each(sqlite: String, postgres: String) -> Self {
        Self { sqlite: Cow::Owned(sqlite), postgres: Cow::Owned(postgres) }
    }

    /// Returns the texts for SQLite and for PostgreSQL.
    #[must_use]
    pub fn texts(&self) -> Texts<'_> {
        (&self.sqlite, &self.postgres)
    }
}

/// Makes a [`Stmt`]: `sql!("…")`, or `sql!(sqlite: "…", postgres: "…")` where they must differ.
#[macro_export]
#[doc(hidden)]
macro_rules! sql {
    (sqlite: $sqlite:expr, postgres: $postgres:expr $(,)?) => {
        $crate::sql::Stmt::each($sqlite, $postgres)
    };
    ($text:expr $(,)?) => {
        $crate::sql::Stmt::new($text)
    };
}

/// A statement with its parameters.
pub type Query = (Stmt, Vec<Val>);

/// How many rows a statement of a batch must affect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Any number.
    Any,
    /// One; none is [`StoreError::Conflict`].
    OneOrConflict,
    /// One; none is [`StoreError::LimitReached`] for this quota.
    OneOrLimit(String),
}

impl Expect {
    /// Judges the number of rows.
    pub fn judge(&self, affected: u64) -> StoreResult<()> {
        match (self, affected) {
            (Self::Any, _) | (_, 1) => Ok(()),
            (Self::OneOrConflict, 0) => Err(StoreError::Conflict),
            (Self::OneOrLimit(quota), 0) => Err(StoreError::LimitReached { quota: quota.clone() }),
            _ => Err(StoreError::corrupt("batch", "a key matched several rows")),
        }
    }
}

/// A statement of a batch.
#[derive(Clone, Debug)]
pub struct Step {
    /// The statement and its parameters.
    pub query: Query,
    /// What it must do.
    pub expect: Expect,
    /// Whether it answers with rows (`RETURNING`).
    pub returning: bool,
    /// Unique indexes that it may violate, and the fields they guard.
    pub unique: Vec<(&'static str, &'static str)>,
}

impl Step {
    /// Tells whether callers reckon with a refusal of this statement.
    #[must_use]
    pub fn may_fail(&self) -> bool {
        self.expect != Expect::Any || !self.unique.is_empty()
    }

    /// Returns the error for a violation of this unique index or primary key (`<table>_pkey`).
    #[must_use]
    pub fn violated(&self, index: &str) -> StoreError {
        let field = self.unique.iter().find(|(name, _)| *name == index);
        field.map_or(StoreError::Conflict, |(_, field)| StoreError::Duplicate { field })
    }
}

/// Statements that are applied in order, all or none.
#[derive(Clone, Debug, Default)]
#[must_use = "a batch does nothing until it is run"]
pub struct Batch {
    steps: Vec<Step>,
    check: Option<Query>,
}

impl Batch {
    /// No statement.
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch of one statement that affects any number of rows.
    pub fn of(stmt: Stmt, vals: Vec<Val>) -> Self {
        Self::new().then(stmt, vals)
    }

    fn push(mut self, stmt: Stmt, vals: Vec<Val>, expect: Expect, returning: bool) -> Self {
        self.steps.push(Step { query: (stmt, vals), expect, returning, unique: Vec::new() });
        self
    }

    /// Adds a statement that affects any number of rows.
    pub fn then(self, stmt: Stmt, vals: Vec<Val>) -> Self {
        self.push(stmt, vals, Expect::Any, false)
    }

    /// Adds a statement that names one row by its key; none is a conflict.
    pub fn one(self, stmt: Stmt, vals: Vec<Val>) -> Self {
        self.push(stmt, vals, Expect::OneOrConflict, false)
    }

    /// Adds a statement that changes a row where a quota allows it.
    pub fn within(self, quota: &str, stmt: Stmt, vals: Vec<Val>) -> Self {
        self.push(stmt, vals, Expect::OneOrLimit(quota.to_owned()), false)
    }

    /// Adds a statement that answers with rows.
    pub fn returning(self, stmt: Stmt, vals: Vec<Val>) -> Self {
        self.push(stmt, vals, Expect::Any, true)
    }

    /// Says that a violation of this unique index by the last statement is a duplicate in this
    /// field. Violations that are not named are conflicts.
    pub fn unique(mut self, index: &'static str, field: &'static str) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.unique.push((index, field));
        }
        self
    }

    /// Names a read that finds a row if and only if the batch was applied: asked after the
    /// answer to the commit was lost.
    pub fn check(mut self, stmt: Stmt, vals: Vec<Val>) -> Self {
        self.check = Some((stmt, vals));
        self
    }

    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns the statements.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns the read that tells whether the batch was applied.
    #[must_use]
    pub fn checked_by(&self) -> Option<&Query> {
        self.check.as_ref()
    }
}

/// What a statement did.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// How many rows it affected.
    pub affected: u64,
    /// The rows it answered with.
    pub rows: Vec<Row>,
}

/// A database behind the façade.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// Reads; all queries see the same state.
    async fn read(&self, queries: Vec<Query>) -> StoreResult<Vec<Vec<Row>>>;

    /// Applies a batch; its answers in order.
    async fn write(&self, batch: Batch) -> StoreResult<Vec<Done>>;

    /// Applies the migrations that are missing, in one transaction; one process at a time.
    async fn migrate(&self, migrations: &'static [Migration]) -> StoreResult<()>;

    /// Returns the number of the last applied migration, 0 where there is none.
    async fn version(&self) -> StoreResult<i64>;

    /// Compiles a statement without running it.
    async fn prepare(&self, stmt: Stmt) -> StoreResult<()>;

    /// Reads every table, all in the same state of the database.
    async fn dump(&self) -> StoreResult<Dump>;

    /// Begins to put rows into the tables: one transaction, which dropping it undoes.
    async fn fill(&self) -> StoreResult<Box<dyn Fill>>;

    /// Names a table that has rows, where there is one.
    async fn occupied(&self) -> StoreResult<Option<String>>;
}

/// A handle to a database. Clones share it.
#[derive(Clone)]
pub struct Sql(Arc<dyn Driver>);

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sql")
    }
}

impl Sql {
    /// A handle to this database.
    pub fn new(driver: impl Driver) -> Self {
        Self(Arc::new(driver))
    }

    /// Returns the rows that a query finds.
    pub async fn read(&self, stmt: Stmt, vals: Vec<Val>) -> StoreResult<Vec<Row>> {
        let answers = self.read_all(vec![(stmt, vals)]).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// Returns the first row that a query finds.
    pub async fn read_one(&self, stmt: Stmt, vals: Vec<Val>) -> StoreResult<Option<Row>> {
        Ok(self.read(stmt, vals).await?.into_iter().next())
    }

    /// Returns what several queries find in the same state of the database.
    pub async fn read_all(&self, queries: Vec<Query>) -> StoreResult<Vec<Vec<Row>>> {
        self.0.read(queries).await
    }

    /// Applies a batch; returns how many rows each statement affected.
    pub async fn run(&self, batch: Batch) -> StoreResult<Vec<u64>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let done = self.0.write(batch).await?;
        Ok(done.iter().map(|done| done.affected).collect())
    }

    /// Applies a statement; returns the rows that it answers with.
    pub async fn write_returning(&self, stmt: Stmt, vals: Vec<Val>) -> StoreResult<Vec<Row>> {
        let done = self.0.write(Batch::new().returning(stmt, vals)).await?;
        Ok(done.into_iter().next().unwrap_or_default().rows)
    }

    /// Returns the driver, for what is not reads and writes.
    #[must_use]
    pub fn driver(&self) -> &dyn Driver {
        &*self.0
    }
}
