-- +goose Up
-- People who sign in. What they prove it with is sealed.
CREATE TABLE staff (
    id         BIGINT PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE,
    handle     BYTEA NOT NULL UNIQUE,     -- what passkeys know the user by
    owner      BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,         -- sessions of another one are over
    profile    TEXT NOT NULL,
    grants     TEXT NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE staff_sessions (
    digest    BYTEA PRIMARY KEY,          -- of the browser's token
    user_id   BIGINT NOT NULL,
    epoch     BIGINT NOT NULL,
    waiting   BIGINT NOT NULL,          -- for the second factor
    way       TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    seen_at   BIGINT NOT NULL,
    sure_at   BIGINT NOT NULL,
    network   TEXT NOT NULL,
    agent     TEXT NOT NULL
);
CREATE INDEX staff_sessions_user ON staff_sessions (user_id);
CREATE INDEX staff_sessions_seen ON staff_sessions (seen_at);

-- What is good once: links, ceremonies, visits to an identity provider.
CREATE TABLE staff_tickets (
    digest     BYTEA PRIMARY KEY,
    kind       TEXT NOT NULL,
    user_id    BIGINT NOT NULL,         -- 0: nobody's yet
    sealed     BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX staff_tickets_user ON staff_tickets (user_id, kind);
CREATE INDEX staff_tickets_expiry ON staff_tickets (expires_at);

-- Attempts in a row, by a digest of what they are on.
CREATE TABLE staff_attempts (
    name     TEXT PRIMARY KEY,
    attempts BIGINT NOT NULL,
    next_at  BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);
CREATE INDEX staff_attempts_last ON staff_attempts (last_at);

-- +goose Down
DROP TABLE staff_attempts;
DROP TABLE staff_tickets;
DROP TABLE staff_sessions;
DROP TABLE staff;
