-- +goose Up
-- How many postings a credit has: its own, corrections, its reversal.
ALTER TABLE credits ADD COLUMN lines INTEGER NOT NULL DEFAULT 1;

-- What came on a wallet within some days.
CREATE INDEX credits_booked ON credits (wallet, booked_at);

CREATE INDEX credits_contested ON credits (id) WHERE contested = 1;

-- Money that moved and is no payment, as bank statements tell it.
CREATE TABLE movements (
    id          INTEGER PRIMARY KEY,
    wallet      TEXT NOT NULL,
    feed        TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('debit', 'other')),
    utr         TEXT NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    currency    TEXT NOT NULL,
    booked_at   INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    reversal    INTEGER NOT NULL,
    narration   TEXT NOT NULL,
    line_key    BLOB NOT NULL,           -- the same for the same line in another file
    credit_id   INTEGER NOT NULL         -- that it took back; 0: none
) STRICT;
CREATE UNIQUE INDEX movements_line ON movements (line_key);
CREATE INDEX movements_utr ON movements (utr) WHERE utr <> '';
CREATE INDEX movements_wallet ON movements (wallet, booked_at);

-- Messages as they came, sealed. Raw is emptied when its time is up.
CREATE TABLE messages (
    id          INTEGER PRIMARY KEY,
    feed        TEXT NOT NULL,
    wallet      TEXT NOT NULL,
    digest      BLOB NOT NULL,
    sender      TEXT NOT NULL,
    sent_at     INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    raw         BLOB NOT NULL,
    reading     TEXT NOT NULL,           -- what was understood, as milaan parse prints it
    template    TEXT NOT NULL,
    result      TEXT NOT NULL,
    why         TEXT NOT NULL,
    credit_id   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_digest ON messages (feed, digest);
CREATE INDEX messages_inbox ON messages (id) WHERE result IN ('unparsed', 'no_utr', 'refused');
CREATE INDEX messages_credit ON messages (credit_id) WHERE credit_id <> 0;
CREATE INDEX messages_kept ON messages (received_at) WHERE raw <> x'';

-- What feeds brought, by the hour (since 1970 UTC): their health is told by it.
CREATE TABLE feed_hours (
    feed     TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    items    INTEGER NOT NULL,
    credits  INTEGER NOT NULL,
    unread   INTEGER NOT NULL,
    refused  INTEGER NOT NULL,
    timed    INTEGER NOT NULL,           -- credits that told the bank's time …
    lag      INTEGER NOT NULL,           -- … and how long they took in all, in microseconds
    most_lag INTEGER NOT NULL,
    ahead    INTEGER NOT NULL,            -- how far ahead of ours a sender's clock was at most, in microseconds
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (feed, hour)
) STRICT, WITHOUT ROWID;

-- What the operator was told of, by the key of the trouble.
CREATE TABLE notices (
    key   TEXT PRIMARY KEY,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far mailboxes were read (IMAP: UIDVALIDITY and UID).
CREATE TABLE mailboxes (
    feed     TEXT PRIMARY KEY,
    validity INTEGER NOT NULL,
    uid      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was shown long ago is dropped.
CREATE INDEX assignments_shown ON assignments (shown_at);

-- Statements that were imported, and every line of them.
CREATE TABLE statements (
    id          INTEGER PRIMARY KEY,
    wallet      TEXT NOT NULL,
    feed        TEXT NOT NULL,
    digest      BLOB NOT NULL,
    name        TEXT NOT NULL,
    layout      TEXT NOT NULL,
    from_at     INTEGER NOT NULL,
    to_at       INTEGER NOT NULL,
    opening     INTEGER NOT NULL,
    closing     INTEGER NOT NULL,
    balanced    INTEGER NOT NULL,        -- opening and closing are known
    lines       INTEGER NOT NULL,
    imported_at INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    done        INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX statements_digest ON statements (wallet, digest);
CREATE TABLE statement_lines (
    statement   INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    utr         TEXT NOT NULL,
    amount      INTEGER NOT NULL,
    booked_at   INTEGER NOT NULL,
    narration   TEXT NOT NULL,
    result      TEXT NOT NULL,
    why         TEXT NOT NULL,
    credit_id   INTEGER NOT NULL,
    movement_id INTEGER NOT NULL,
    PRIMARY KEY (statement, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX statement_lines_credit ON statement_lines (credit_id) WHERE credit_id <> 0;

-- Each wallet has two more accounts from now on.
INSERT INTO accounts (id, code, kind, currency, balance)
SELECT (SELECT next FROM id_blocks) + row_number() OVER (ORDER BY code) - 1, code, kind, currency, 0 FROM (
    SELECT 'outflow:' || substr(code, 8) AS code, 'asset' AS kind, currency FROM accounts WHERE code LIKE 'wallet:%'
    UNION ALL SELECT 'income:' || substr(code, 8), 'liability', currency FROM accounts WHERE code LIKE 'wallet:%') AS more;
UPDATE id_blocks SET next = next + 2 * (SELECT count(*) FROM accounts WHERE code LIKE 'wallet:%');

-- +goose Down
DROP INDEX credits_contested;
DROP INDEX credits_booked;
DELETE FROM accounts WHERE code LIKE 'outflow:%' OR code LIKE 'income:%';
DROP TABLE statement_lines;
DROP TABLE statements;
DROP TABLE mailboxes;
DROP TABLE notices;
DROP INDEX assignments_shown;
DROP TABLE feed_hours;
DROP TABLE messages;
DROP TABLE movements;
ALTER TABLE credits DROP COLUMN lines;
