-- +goose Up
-- People who sign in. What they prove it with is sealed.
CREATE TABLE staff (
    id         INTEGER PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE,
    handle     BLOB NOT NULL UNIQUE,     -- what passkeys know the user by
    owner      INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,         -- sessions of another one are over
    profile    TEXT NOT NULL,
    grants     TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE staff_sessions (
    digest    BLOB PRIMARY KEY,          -- of the browser's token
    user_id   INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,
    waiting   INTEGER NOT NULL,          -- for the second factor
    way       TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    seen_at   INTEGER NOT NULL,
    sure_at   INTEGER NOT NULL,
    network   TEXT NOT NULL,
    agent     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_sessions_user ON staff_sessions (user_id);
CREATE INDEX staff_sessions_seen ON staff_sessions (seen_at);

-- What is good once: links, ceremonies, visits to an identity provider.
CREATE TABLE staff_tickets (
    digest     BLOB PRIMARY KEY,
    kind       TEXT NOT NULL,
    user_id    INTEGER NOT NULL,         -- 0: nobody's yet
    sealed     BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_tickets_user ON staff_tickets (user_id, kind);
CREATE INDEX staff_tickets_expiry ON staff_tickets (expires_at);

-- Attempts in a row, by a digest of what they are on.
CREATE TABLE staff_attempts (
    name     TEXT PRIMARY KEY,
    attempts INTEGER NOT NULL,
    next_at  INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_attempts_last ON staff_attempts (last_at);

-- +goose Down
DROP TABLE staff_attempts;
DROP TABLE staff_tickets;
DROP TABLE staff_sessions;
DROP TABLE staff;
