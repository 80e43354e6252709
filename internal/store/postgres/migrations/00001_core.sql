-- +goose Up
-- Amounts are paise, times are microseconds since 1970 UTC (0: none), ids are
-- given by the application and unique across tables.

CREATE TABLE id_blocks (
    next BIGINT NOT NULL
);
INSERT INTO id_blocks (next) VALUES (1);

CREATE TABLE installation (
    id        BIGINT PRIMARY KEY CHECK (id = 1),
    directory BIGINT NOT NULL,          -- version of the directory
    key_check BYTEA NOT NULL              -- a known text, sealed with the key
);

-- Merchants, methods, wallets, feeds, rules, payout desks: few, read whole
-- into memory, so each is one document. Secrets are sealed apart.
CREATE TABLE directory (
    kind   TEXT NOT NULL,
    id     TEXT NOT NULL,
    doc    TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE accounts (
    id       BIGINT PRIMARY KEY,
    code     TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    currency TEXT NOT NULL,
    balance  BIGINT NOT NULL            -- debit-positive
);

CREATE TABLE credits (
    id          BIGINT PRIMARY KEY,
    wallet      TEXT NOT NULL,
    utr         TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    currency    TEXT NOT NULL,
    payer_vpa   TEXT NOT NULL,
    payer_name  TEXT NOT NULL,
    note        TEXT NOT NULL,
    reference   TEXT NOT NULL,
    booked_at   BIGINT NOT NULL,        -- the bank's time
    received_at BIGINT NOT NULL,
    feed        TEXT NOT NULL,
    trust       BIGINT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('unclaimed', 'bound', 'reversed')),
    claim_id    BIGINT NOT NULL,        -- 0: unbound
    contested   BIGINT NOT NULL
) WITH (fillfactor = 70); -- a credit is changed once, when it is claimed: in its place
-- A UTR is unique only per receiving account; it is looked up alone.
CREATE UNIQUE INDEX credits_utr_wallet ON credits (utr, wallet);

CREATE TABLE claims (
    id         BIGINT PRIMARY KEY,
    merchant   TEXT NOT NULL,
    custom_id  TEXT NOT NULL,
    method     TEXT NOT NULL,
    label      TEXT NOT NULL,
    utr        TEXT NOT NULL,
    amount     BIGINT NOT NULL CHECK (amount > 0),
    currency   TEXT NOT NULL,
    addr       TEXT NOT NULL,
    via        TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'pending', 'credited', 'refused', 'rejected', 'expired')),
    reasons    TEXT NOT NULL,
    credit_id  BIGINT NOT NULL,
    deposited  BIGINT NOT NULL,
    history    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    settled_at BIGINT NOT NULL
);
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
    id        BIGINT PRIMARY KEY,       -- its claim's
    merchant  TEXT NOT NULL,
    wallet    TEXT NOT NULL,
    credit_id BIGINT NOT NULL UNIQUE,
    amount    BIGINT NOT NULL CHECK (amount > 0),
    fee       BIGINT NOT NULL CHECK (fee >= 0 AND fee <= amount),
    rates_id  BIGINT NOT NULL,
    at        BIGINT NOT NULL
);

CREATE TABLE postings (
    transaction_id BIGINT NOT NULL,
    line           BIGINT NOT NULL,
    kind           TEXT NOT NULL,
    debit          BIGINT NOT NULL,
    credit         BIGINT NOT NULL,
    amount         BIGINT NOT NULL CHECK (amount > 0),
    currency       TEXT NOT NULL,
    at             BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, line),
    CHECK (debit <> credit)
);

CREATE TABLE postbacks (
    id           BIGINT PRIMARY KEY,    -- its deposit's
    merchant     TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('due', 'held', 'delivered', 'dead')),
    attempts     BIGINT NOT NULL,
    next_at      BIGINT NOT NULL,       -- when it is due; a lease moves it ahead
    body         BYTEA NOT NULL,          -- kept from a failed attempt on
    last_status  BIGINT NOT NULL,
    last_error   TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    delivered_at BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX postbacks_due ON postbacks (merchant, next_at) WHERE state IN ('due', 'held');

CREATE TABLE assignments (
    merchant   TEXT NOT NULL,
    method     TEXT NOT NULL,
    label      TEXT NOT NULL,
    wallet     TEXT NOT NULL,
    shown_at   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (merchant, method, label, wallet)
);

CREATE TABLE wallet_days (
    wallet   TEXT NOT NULL,
    day      BIGINT NOT NULL,           -- 20060102, in India
    received BIGINT NOT NULL,
    PRIMARY KEY (day, wallet)
);

CREATE TABLE rates (
    id         BIGINT PRIMARY KEY,
    fetched_at BIGINT NOT NULL,
    body       BYTEA NOT NULL
);

CREATE TABLE audit (
    seq     BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject BIGINT NOT NULL,
    why     TEXT NOT NULL,
    hash    BYTEA NOT NULL
);

CREATE TABLE audit_head (
    seq  BIGINT NOT NULL,
    hash BYTEA NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- Work that one gateway does for all.
CREATE TABLE duties (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until  BIGINT NOT NULL
);

-- Two gateways that work on one UTR at the same time keep out of each other's
-- way by locking the row of the UTR's stripe: an advisory lock that every
-- PostgreSQL-compatible engine has.
CREATE TABLE utr_stripes (
    id BIGINT PRIMARY KEY
);
INSERT INTO utr_stripes (id) SELECT * FROM generate_series(0, 16383);

-- Money and its record are only ever added to.
-- +goose StatementBegin
CREATE FUNCTION only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER postings_stay BEFORE UPDATE OR DELETE ON postings FOR EACH ROW EXECUTE FUNCTION only_added_to();
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION only_added_to();

-- +goose Down
DROP TABLE utr_stripes;
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
DROP FUNCTION only_added_to();
