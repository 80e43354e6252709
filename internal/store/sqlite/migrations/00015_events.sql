-- +goose Up
-- Events of webhooks stand in the outbox beside the protocol's postbacks. Their
-- merchant is the webhook's key, such as shop/hook1 or /ops, their body is kept
-- from the start, and their subject is the claim, credit or withdrawal that they
-- are about.
ALTER TABLE postbacks ADD COLUMN event TEXT NOT NULL DEFAULT '';
ALTER TABLE postbacks ADD COLUMN subject INTEGER NOT NULL DEFAULT 0;
CREATE INDEX postbacks_event ON postbacks (subject, event) WHERE event <> '';

-- How far the audit log was looked through for credits that nobody claims. No row
-- while nobody wants to know.
CREATE TABLE unclaimed_cursor (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;

-- +goose Down
DELETE FROM directory WHERE kind = 'webhook';
DELETE FROM postback_attempts WHERE postback IN (SELECT id FROM postbacks WHERE event <> '');
DELETE FROM postbacks WHERE event <> '';
DELETE FROM postback_endpoints WHERE merchant LIKE '%/%';
DROP TABLE unclaimed_cursor;
DROP INDEX postbacks_event;
ALTER TABLE postbacks DROP COLUMN subject;
ALTER TABLE postbacks DROP COLUMN event;
