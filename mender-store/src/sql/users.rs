use std::collections::BTreeSet;

use async_trait::async_trait;
use mender_core::{
    Stamped, StoreResult, TenantId, UserId,
    commit::Change,
    users::{Account, Email, Store},
};

use crate::{
    SqlStore, sql,
    sql::{
        facade::{Batch, Stmt},
        kernel::{self, Tail as _},
        value::{Row, Val, json},
    },
    vals,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.email, a.password, a.memberships, a.sessions, a.created_at,
        a.updated_at, a.login_at, a.version FROM ",
            $rest,
        )
    };
}

const ACCOUNT: Stmt = sql!(select!(
    "users_accounts AS a WHERE a.id = $1 -- global: accounts belong to several tenants"
));

const BY_EMAIL: Stmt = sql!(select!(
    "users_accounts AS a WHERE a.email = $1 -- global: accounts belong to several tenants"
));

const ACCOUNTS: Stmt = sql!(select!(
    "users_members AS m JOIN users_accounts AS a ON a.id = m.account_id
        WHERE m.tenant_id = $1 AND m.account_id > $2 ORDER BY m.account_id LIMIT $3"
));

/// An id that is taken leaves no row written, which is a conflict, whatever else is taken.
const INSERT: Stmt = sql!(
    "INSERT INTO users_accounts (id, password, memberships, sessions, created_at, updated_at,
        login_at, version, commit_id, email) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (id) DO NOTHING -- global: accounts belong to several tenants"
);

const UPDATE: Stmt = sql!(
    "UPDATE users_accounts SET password = $2, memberships = $3, sessions = $4, created_at = $5,
        updated_at = $6, login_at = $7, version = $8, commit_id = $9
        WHERE id = $1 AND version = $10 -- global: accounts belong to several tenants"
);

/// Apart from the other columns, so that a log-in leaves the index alone.
const MOVE: Stmt = sql!(
    "UPDATE users_accounts SET email = $2 WHERE id = $1
        -- global: accounts belong to several tenants"
);

const DELETE: Stmt = sql!(
    "DELETE FROM users_accounts WHERE id = $1 AND version = $2
        -- global: accounts belong to several tenants"
);

const JOIN: Stmt = sql!("INSERT INTO users_members (tenant_id, account_id) @rows($1)");

const PART: Stmt = sql!("DELETE FROM users_members WHERE tenant_id @in($2) AND account_id = $1");

const PART_ALL: Stmt = sql!(
    "DELETE FROM users_members WHERE account_id = $1
        -- global: accounts belong to several tenants"
);

const APPLIED: Stmt = sql!(
    "SELECT 1 FROM users_accounts WHERE id = $1 AND commit_id = $2
        -- global: accounts belong to several tenants"
);

const GONE: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM users_accounts WHERE id = $1)
        -- global: accounts belong to several tenants"
);

pub(super) const STATEMENTS: &[Stmt] = &[
    ACCOUNT, BY_EMAIL, ACCOUNTS, INSERT, UPDATE, MOVE, DELETE, JOIN, PART, PART_ALL, APPLIED, GONE,
];

fn account(row: &Row) -> StoreResult<Account> {
    Ok(Account {
        id: row.parse("id")?,
        email: row.name("email")?,
        password: row.text("password")?.to_owned(),
        memberships: row.json("memberships")?,
        sessions: row.json("sessions")?,
        created: row.time("created_at")?,
        updated: row.time("updated_at")?,
        login: row.opt_time("login_at")?,
        version: row.version("version")?,
    })
}

fn columns(account: &Account, commit: &str) -> StoreResult<Vec<Val>> {
    let Account { id, email: _, password, memberships, sessions, created, updated, login, version } =
        account;
    Ok(vals![
        id.as_str(),
        password,
        json(memberships)?,
        json(sessions)?,
        *created,
        *updated,
        *login,
        *version,
        commit
    ])
}

fn tenants(account: &Account) -> BTreeSet<&TenantId> {
    account.memberships.iter().map(|m| &m.tenant).collect()
}

/// Writes the memberships that are new, and removes those that are no more.
fn members(mut batch: Batch, was: Option<&Account>, to: &Account) -> Batch {
    let (before, after) = (was.map(tenants).unwrap_or_default(), tenants(to));
    let parted: Vec<String> = before.difference(&after).map(ToString::to_string).collect();
    if !parted.is_empty() {
        batch = batch.then(PART, vals![to.id.as_str(), parted]);
    }
    let row = |tenant: &&TenantId| vals![*tenant, to.id.as_str()];
    let joined: Vec<Vec<Val>> = after.difference(&before).map(row).collect();
    if !joined.is_empty() {
        batch = batch.then(JOIN, vals![joined]);
    }
    batch
}

fn batch(commit: &Stamped<Account>) -> StoreResult<Batch> {
    const EMAIL: (&str, &str) = ("users_accounts_email", "email");
    let applied = |account: &Account| (APPLIED, vals![account.id.as_str(), &commit.id]);
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => {
            let mut vals = columns(new, &commit.id)?;
            vals.push(new.email.as_str().into());
            let batch = Batch::new().one(INSERT, vals).unique(EMAIL.0, EMAIL.1);
            (members(batch, None, new), applied(new))
        }
        Change::Update { was, to } => {
            let mut vals = columns(to, &commit.id)?;
            vals.push(was.version.into());
            let mut batch = Batch::new().one(UPDATE, vals);
            if was.email != to.email {
                let vals = vals![to.id.as_str(), to.email.as_str()];
                batch = batch.one(MOVE, vals).unique(EMAIL.0, EMAIL.1);
            }
            (members(batch, Some(was), to), applied(to))
        }
        Change::Delete(old) => {
            let id = old.id.as_str();
            let batch = Batch::new().one(DELETE, vals![id, old.version]);
            let gone = (GONE, vals![id]);
            let check = kernel::trace_of(commit).unwrap_or(gone);
            (batch.then(PART_ALL, vals![id]), check)
        }
    };
    Ok(batch.tail(&TenantId::default(), commit).check(check, vals))
}

#[async_trait]
impl Store for SqlStore {
    async fn account(&self, id: &UserId) -> StoreResult<Option<Account>> {
        let row = self.sql.read_one(ACCOUNT, vals![id.as_str()]).await?;
        row.as_ref().map(account).transpose()
    }

    async fn account_by_email(&self, email: &Email) -> StoreResult<Option<Account>> {
        let row = self.sql.read_one(BY_EMAIL, vals![email.as_str()]).await?;
        row.as_ref().map(account).transpose()
    }

    async fn accounts(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<Account>> {
        let after = after.map_or("", UserId::as_str);
        let rows = self.sql.read(ACCOUNTS, vals![tenant, after, limit]).await?;
        rows.iter().map(account).collect()
    }

    async fn commit_account(&self, commit: Stamped<Account>) -> StoreResult<()> {
        self.sql.run(batch(&commit)?).await.map(drop)
    }
}
