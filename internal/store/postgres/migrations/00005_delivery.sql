-- +goose Up
-- The target that was refused for safety, of which the postback is dead.
ALTER TABLE postbacks ADD COLUMN refused TEXT NOT NULL DEFAULT '';
-- How long the attempt took that delivered it, in microseconds, where nothing
-- else is to be told of it: a first attempt that was simply confirmed. Else 0.
ALTER TABLE postbacks ADD COLUMN latency BIGINT NOT NULL DEFAULT 0;
CREATE INDEX postbacks_refused ON postbacks (merchant, refused) WHERE refused <> '';
CREATE INDEX postbacks_dead ON postbacks (id) WHERE state = 'dead';

-- Every other attempt to deliver, in the order they were recorded. The oldest are
-- dropped.
CREATE TABLE postback_attempts (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    postback BIGINT NOT NULL,
    number   BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    latency  BIGINT NOT NULL,            -- in microseconds
    status   BIGINT NOT NULL,            -- 0: no answer
    error    TEXT NOT NULL,
    answer   BYTEA NOT NULL              -- its first 2 kB
);
CREATE INDEX postback_attempts_postback ON postback_attempts (postback);

-- Merchants' endpoints that are not simply sent to.
CREATE TABLE postback_endpoints (
    merchant TEXT PRIMARY KEY,
    target   TEXT NOT NULL,              -- digest of the URL that it is about
    state    TEXT NOT NULL CHECK (state IN ('failing', 'paused', 'disabled')),
    since    BIGINT NOT NULL,
    why      TEXT NOT NULL
);

-- +goose Down
DROP TABLE postback_endpoints;
DROP TABLE postback_attempts;
DROP INDEX postbacks_dead;
DROP INDEX postbacks_refused;
ALTER TABLE postbacks DROP COLUMN latency;
ALTER TABLE postbacks DROP COLUMN refused;
