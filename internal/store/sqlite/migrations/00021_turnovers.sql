-- +goose Up
-- What every payment posts, added up by the quarter of an hour (since 1970 UTC) at the
-- account that reports ask about: credits at their wallet, deposits and their fees at
-- their merchant. Reports read some quarters instead of all postings.
CREATE TABLE turnovers (
    account  INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    quarter  INTEGER NOT NULL,
    postings INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (account, kind, quarter)
) STRICT, WITHOUT ROWID;

-- A trigger adds to it, not the gateway: while gateways are replaced one by one older ones
-- post, too, and know nothing of it.
-- Locks postings until what was posted before is added up: a second or two a million payments.
-- +goose StatementBegin
CREATE TRIGGER postings_added AFTER INSERT ON postings WHEN NEW.kind IN ('credit', 'deposit', 'deposit_fee') BEGIN
    INSERT INTO turnovers (account, kind, quarter, postings, amount)
        VALUES (CASE NEW.kind WHEN 'deposit' THEN NEW.credit ELSE NEW.debit END, NEW.kind, NEW.at / 900000000, 1, NEW.amount)
        ON CONFLICT (account, kind, quarter) DO UPDATE SET postings = postings + 1, amount = amount + excluded.amount;
END;
-- +goose StatementEnd
INSERT INTO turnovers (account, kind, quarter, postings, amount)
SELECT CASE kind WHEN 'deposit' THEN credit ELSE debit END, kind, at / 900000000, COUNT(*), SUM(amount)
FROM postings WHERE kind IN ('credit', 'deposit', 'deposit_fee') GROUP BY 1, 2, 3;

-- Nothing reads these any more: what they were added up from is in turnovers. They go for
-- what the trigger costs. Deposits keep theirs, for periods that begin or end amid a quarter.
-- Slows reports of older gateways, which added up by postings_received.
DROP INDEX postings_received;
-- Slows reports of older gateways, which added up by postings_fees.
DROP INDEX postings_fees;

-- +goose Down
CREATE INDEX postings_fees ON postings (debit, at, amount) WHERE kind = 'deposit_fee';
CREATE INDEX postings_received ON postings (debit, at, amount) WHERE kind = 'credit';
DROP TRIGGER postings_added;
DROP TABLE turnovers;
