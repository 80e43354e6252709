-- +goose Up
-- Settlements of merchants' balances: each run that fell due and each wish, and
-- what it came to. Its payouts are withdrawals, whose ids follow from its own.
CREATE TABLE settlements (
    id            INTEGER PRIMARY KEY,
    merchant      TEXT NOT NULL,
    settlement_id TEXT NOT NULL,
    account       TEXT NOT NULL,
    name          TEXT NOT NULL,
    ifsc          TEXT NOT NULL,
    method        TEXT NOT NULL,
    scheduled     INTEGER NOT NULL,
    due_at        INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    wanted        INTEGER NOT NULL CHECK (wanted >= 0), -- 0: all there is
    budget        INTEGER NOT NULL CHECK (budget >= 0), -- with the fees
    reason        TEXT NOT NULL,           -- why a person approves its payouts
    cut_at        INTEGER NOT NULL,        -- the first moment after it; 0: not ended
    payouts       INTEGER NOT NULL,
    amount        INTEGER NOT NULL,
    fee           INTEGER NOT NULL,
    why           TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX settlements_key ON settlements (merchant, settlement_id);
CREATE INDEX settlements_cut ON settlements (merchant, cut_at);
CREATE INDEX settlements_open ON settlements (created_at) WHERE cut_at = 0;

-- What moved an account, and when. What every payment posts and no merchant's
-- account has on that side is left out: it would double what a deposit writes.
CREATE INDEX postings_out ON postings (debit, at) WHERE kind NOT IN ('credit', 'deposit');
CREATE INDEX postings_in ON postings (credit, at) WHERE kind <> 'credit';

-- +goose Down
DROP INDEX postings_in;
DROP INDEX postings_out;
DROP TABLE settlements;
