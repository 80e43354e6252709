-- +goose Up
-- What the audit log says of a record, for the page that tells its story. What
-- the records tell themselves is left out: it costs the common case nothing.
CREATE INDEX audit_noted ON audit (subject) WHERE subject <> 0 AND action <> 'credit.received' AND action <> 'claim.waiting'
    AND NOT (action = 'claim.credited' AND substr(actor, 1, 4) IN ('api:', 'feed', 'wind'));

-- What users look for again and again in a list, under a name of their own.
CREATE TABLE staff_views (
    user_id BIGINT NOT NULL,
    list    TEXT NOT NULL,
    name    TEXT NOT NULL,
    query   TEXT NOT NULL,
    PRIMARY KEY (user_id, list, name)
);

-- +goose Down
DROP TABLE staff_views;
DROP INDEX audit_noted;
