-- +goose Up
-- Amounts are paise, times are microseconds since 1970 UTC (0: none), ids are
-- given by the application and unique across tables.

CREATE TABLE id_blocks (
    next INTEGER NOT NULL
) STRICT;
INSERT INTO id_blocks (next) VALUES (1);

CREATE TABLE installation (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    directory INTEGER NOT NULL,          -- version of the directory
    key_check BLOB NOT NULL              -- a known text, sealed with the key
) STRICT;

-- Merchants, methods, wallets, feeds, rules, payout desks: few, read whole
-- into memory, so each is one document. Secrets are sealed apart.
CREATE TABLE directory (
    kind   TEXT NOT NULL,
    id     TEXT NOT NULL,
    doc    TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id       INTEGER PRIMARY KEY,
    code     TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    currency TEXT NOT NULL,
    balance  INTEGER NOT NULL            -- debit-positive
) STRICT;

CREATE TABLE credits (
    id          INTEGER PRIMARY KEY,
    wallet      TEXT NOT NULL,
    utr         TEXT NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    currency    TEXT NOT NULL,
    payer_vpa   TEXT NOT NULL,
    payer_name  TEXT NOT NULL,
    note        TEXT NOT NULL,
    reference   TEXT NOT NULL,
    booked_at   INTEGER NOT NULL,        -- the bank's time
    received_at INTEGER NOT NULL,
    feed        TEXT NOT NULL,
    trust       INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('unclaimed', 'bound', 'reversed')),
    claim_id    INTEGER NOT NULL,        -- 0: unbound
    contested   INTEGER NOT NULL
) STRICT;
-- A UTR is unique only per receiving account; it is looked up alone.
CREATE UNIQUE INDEX credits_utr_wallet ON credits (utr, wallet);

CREATE TABLE claims (
    id         INTEGER PRIMARY KEY,
    merchant   TEXT NOT NULL,
    custom_id  TEXT NOT NULL,
    method     TEXT NOT NULL,
    label      TEXT NOT NULL,
    utr        TEXT NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    currency   TEXT NOT NULL,
    addr       TEXT NOT NULL,
    via        TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'pending', 'credited', 'refused', 'rejected', 'expired')),
    reasons    TEXT NOT NULL,
    credit_id  INTEGER NOT NULL,
    deposited  INTEGER NOT NULL,
    history    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    settled_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX claims_custom_id ON claims (merchant, custom_id);
-- The indexes below leave credited claims out: they cost the common case nothing.
CREATE INDEX claims_contenders ON claims (utr) WHERE state IN ('waiting', 'pending', 'rejected');
CREATE INDEX claims_pending ON claims (id) WHERE state = 'pending';
CREATE INDEX claims_expiry ON claims (expires_at) WHERE state = 'waiting';
CREATE INDEX claims_vain_label ON claims (merchant, label, created_at)
    WHERE state IN ('waiting', 'refused', 'rejected', 'expired');
CREATE INDEX claims_vain_addr ON claims (merchant, addr, created_at)
    WHERE state IN ('waiting', 'refused', 'rejected', 'expired') AND addr <> '';
CREATE INDEX claims_vain_merchant ON claims (merchant, created_at)
    WHERE state IN ('waiting', 'refused', 'rejected', 'expired');
CREATE INDEX claims_refused ON claims (merchant, created_at) WHERE state = 'refused';

CREATE TABLE deposits (
    id        INTEGER PRIMARY KEY,       -- its claim's
    merchant  TEXT NOT NULL,
    wallet    TEXT NOT NULL,
    credit_id INTEGER NOT NULL UNIQUE,
    amount    INTEGER NOT NULL CHECK (amount > 0),
    fee       INTEGER NOT NULL CHECK (fee >= 0 AND fee <= amount),
    rates_id  INTEGER NOT NULL,
    at        INTEGER NOT NULL
) STRICT;

CREATE TABLE postings (
    transaction_id INTEGER NOT NULL,
    line           INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    debit          INTEGER NOT NULL,
    credit         INTEGER NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount > 0),
    currency       TEXT NOT NULL,
    at             INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, line),
    CHECK (debit <> credit)
) STRICT, WITHOUT ROWID;

CREATE TABLE postbacks (
    id           INTEGER PRIMARY KEY,    -- its deposit's
    merchant     TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('due', 'held', 'delivered', 'dead')),
    attempts     INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,       -- when it is due; a lease moves it ahead
    body         BLOB NOT NULL,          -- kept from a failed attempt on
    last_status  INTEGER NOT NULL,
    last_error   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    delivered_at INTEGER NOT NULL
) STRICT;
CREATE INDEX postbacks_due ON postbacks (merchant, next_at) WHERE state IN ('due', 'held');

CREATE TABLE assignments (
    merchant   TEXT NOT NULL,
    method     TEXT NOT NULL,
    label      TEXT NOT NULL,
    wallet     TEXT NOT NULL,
    shown_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (merchant, method, label, wallet)
) STRICT, WITHOUT ROWID;

CREATE TABLE wallet_days (
    wallet   TEXT NOT NULL,
    day      INTEGER NOT NULL,           -- 20060102, in India
    received INTEGER NOT NULL,
    PRIMARY KEY (day, wallet)
) STRICT, WITHOUT ROWID;

CREATE TABLE rates (
    id         INTEGER PRIMARY KEY,
    fetched_at INTEGER NOT NULL,
    body       BLOB NOT NULL
) STRICT;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject INTEGER NOT NULL,
    why     TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;

CREATE TABLE audit_head (
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_head (seq, hash) VALUES (0, zeroblob(32));

-- Work that one gateway does for all.
CREATE TABLE duties (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Money and its record are only ever added to.
-- +goose StatementBegin
CREATE TRIGGER postings_stay BEFORE UPDATE ON postings BEGIN SELECT RAISE(ABORT, 'postings are never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER postings_remain BEFORE DELETE ON postings BEGIN SELECT RAISE(ABORT, 'postings are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_remains BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is never deleted'); END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE duties;
DROP TABLE audit_head;
DROP TABLE audit;
DROP TABLE rates;
DROP TABLE wallet_days;
DROP TABLE assignments;
DROP TABLE postbacks;
DROP TABLE postings;
DROP TABLE deposits;
DROP TABLE claims;
DROP TABLE credits;
DROP TABLE accounts;
DROP TABLE directory;
DROP TABLE installation;
DROP TABLE id_blocks;
