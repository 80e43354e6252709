-- +goose Up
-- Keys of the management API. A key is known by the hash of its token alone.
CREATE TABLE api_keys (
    id         INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    merchant   TEXT NOT NULL,            -- whose it is; empty for the operator's
    scopes     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,         -- to some minutes
    revoked_at INTEGER NOT NULL
) STRICT;

-- Answers to unsafe calls, by the idempotency key that each came with.
CREATE TABLE answers (
    owner      TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    BLOB NOT NULL,            -- a hash of everything that was asked
    started_at INTEGER NOT NULL,
    status     INTEGER NOT NULL,         -- 0: under way
    sealed     BLOB NOT NULL,            -- the answer, which may show a new secret
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_started ON answers (started_at);

-- A merchant's lists, in the order of time. Both grow at their end only. The sums
-- keep them the lists' own: queries of the group commit have smaller indexes.
CREATE INDEX claims_listed ON claims (merchant, created_at + 0);
CREATE INDEX deposits_listed ON deposits (merchant, at + 0);
-- Claims by UTR: these, those of claims_contenders, and those that credits name.
CREATE INDEX claims_vain_utr ON claims (utr) WHERE state IN ('refused', 'expired');

-- +goose Down
DROP INDEX claims_vain_utr;
DROP INDEX deposits_listed;
DROP INDEX claims_listed;
DROP TABLE answers;
DROP TABLE api_keys;
