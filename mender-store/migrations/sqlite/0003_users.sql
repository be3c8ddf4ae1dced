CREATE TABLE users_accounts (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    password TEXT NOT NULL,
    memberships TEXT NOT NULL,
    sessions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    login_at INTEGER,
    version INTEGER NOT NULL,
    commit_id TEXT NOT NULL
);
CREATE UNIQUE INDEX users_accounts_email ON users_accounts (email);

CREATE TABLE users_members (
    tenant_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
) WITHOUT ROWID;
CREATE INDEX users_members_account ON users_members (account_id);
