CREATE TABLE users_accounts (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    email TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C" NOT NULL,
    memberships TEXT COLLATE "C" NOT NULL,
    sessions TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    login_at BIGINT,
    version BIGINT NOT NULL,
    commit_id TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX users_accounts_email ON users_accounts (email);

CREATE TABLE users_members (
    tenant_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
);
CREATE INDEX users_members_account ON users_members (account_id);
