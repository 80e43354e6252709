-- +goose Up
-- Deposits that a person took back. Their postings stay, with those that undo them; their
-- credits are others' to have.
CREATE TABLE undone (
    id        INTEGER PRIMARY KEY,       -- its claim's
    merchant  TEXT NOT NULL,
    wallet    TEXT NOT NULL,
    credit_id INTEGER NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount > 0),
    fee       INTEGER NOT NULL CHECK (fee >= 0 AND fee <= amount),
    rates_id  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    undone_at INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    why       TEXT NOT NULL
) STRICT;
CREATE INDEX undone_listed ON undone (merchant, at, id);
CREATE INDEX undone_later ON undone (merchant, undone_at, id);
CREATE INDEX undone_credit ON undone (credit_id);

-- +goose Down
DROP TABLE undone;
