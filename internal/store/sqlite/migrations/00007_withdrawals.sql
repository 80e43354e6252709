-- +goose Up
-- Withdrawals: money that leaves a merchant's balance.
CREATE TABLE withdrawals (
    id            INTEGER PRIMARY KEY,
    merchant      TEXT NOT NULL,
    withdrawal_id TEXT NOT NULL,
    method        TEXT NOT NULL,
    label         TEXT NOT NULL,
    amount        INTEGER NOT NULL CHECK (amount > 0),
    fee           INTEGER NOT NULL CHECK (fee >= 0),
    currency      TEXT NOT NULL,
    test          INTEGER NOT NULL,
    account       TEXT NOT NULL,
    name          TEXT NOT NULL,
    ifsc          TEXT NOT NULL,
    request       BLOB NOT NULL,           -- what was asked for, as a digest
    state         TEXT NOT NULL CHECK (state IN ('new', 'approved', 'processing', 'success', 'failed', 'canceled')),
    reasons       TEXT NOT NULL,
    desk          TEXT NOT NULL,
    wallet        TEXT NOT NULL,
    tries         INTEGER NOT NULL,
    provider_ref  TEXT NOT NULL,
    bank_ref      TEXT NOT NULL,
    why           TEXT NOT NULL,
    movement_id   INTEGER NOT NULL,        -- the line of a statement that shows it; 0: none
    created_by    TEXT NOT NULL,
    approved_by   TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    approved_at   INTEGER NOT NULL,
    sent_at       INTEGER NOT NULL,
    settled_at    INTEGER NOT NULL,
    ask_at        INTEGER NOT NULL,        -- when it is sent or asked about; 0: people see to it
    rates_id      INTEGER NOT NULL,
    lines         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX withdrawals_key ON withdrawals (merchant, withdrawal_id);
CREATE INDEX withdrawals_day ON withdrawals (merchant, created_at);
CREATE INDEX withdrawals_due ON withdrawals (ask_at) WHERE state IN ('approved', 'processing');
CREATE INDEX withdrawals_open ON withdrawals (id) WHERE state IN ('new', 'approved', 'processing');
CREATE INDEX withdrawals_under_way ON withdrawals (wallet) WHERE state = 'processing';
CREATE INDEX withdrawals_bank_ref ON withdrawals (bank_ref) WHERE bank_ref <> '';

-- The withdrawal that a movement is; 0: none.
ALTER TABLE movements ADD COLUMN withdrawal_id INTEGER NOT NULL DEFAULT 0;

-- What an event tells: of a deposit, whose id it has, or that a withdrawal came to
-- a state.
ALTER TABLE postbacks ADD COLUMN withdrawal_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE postbacks ADD COLUMN told TEXT NOT NULL DEFAULT '';
CREATE INDEX postbacks_withdrawal ON postbacks (withdrawal_id) WHERE withdrawal_id <> 0;

-- Each merchant has one more account from now on.
INSERT INTO accounts (id, code, kind, currency, balance)
SELECT (SELECT next FROM id_blocks) + row_number() OVER (ORDER BY code) - 1, 'hold:' || substr(code, 10), 'liability', currency, 0
FROM accounts WHERE code LIKE 'merchant:%';
UPDATE id_blocks SET next = next + (SELECT count(*) FROM accounts WHERE code LIKE 'merchant:%');

-- +goose Down
DELETE FROM accounts WHERE code LIKE 'hold:%';
DROP INDEX postbacks_withdrawal;
ALTER TABLE postbacks DROP COLUMN told;
ALTER TABLE postbacks DROP COLUMN withdrawal_id;
ALTER TABLE movements DROP COLUMN withdrawal_id;
DROP TABLE withdrawals;
