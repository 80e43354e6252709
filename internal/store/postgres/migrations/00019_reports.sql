-- +goose Up
-- What every payment posts has indexes of its own, with all that reports add up: a
-- posting is in one of them at most, and each grows at its accounts' ends only.
DROP INDEX postings_in;
DROP INDEX postings_out;
CREATE INDEX postings_received ON postings (debit, at, amount) WHERE kind = 'credit';
CREATE INDEX postings_deposits ON postings (credit, at, amount) WHERE kind = 'deposit';
CREATE INDEX postings_fees ON postings (debit, at, amount) WHERE kind = 'deposit_fee';
CREATE INDEX postings_in ON postings (credit, at) WHERE kind NOT IN ('credit', 'deposit', 'deposit_fee');
CREATE INDEX postings_out ON postings (debit, at) WHERE kind NOT IN ('credit', 'deposit', 'deposit_fee');

-- The audit log without what payments write as they go: what people and the gateway
-- itself did. The sum keeps the index to its list.
CREATE INDEX audit_acts ON audit ((seq + 0)) WHERE action <> 'credit.received' AND action <> 'claim.waiting'
    AND NOT (action = 'claim.credited' AND substr(actor, 1, 4) IN ('api:', 'feed', 'wind'));

-- Up to which period a merchant was sent its reports, by each way.
CREATE TABLE reports_sent (
    merchant TEXT NOT NULL,
    every    TEXT NOT NULL,
    way      TEXT NOT NULL,
    period   TEXT NOT NULL,
    PRIMARY KEY (merchant, every, way)
);

-- +goose Down
DROP TABLE reports_sent;
DROP INDEX audit_acts;
DROP INDEX postings_in;
DROP INDEX postings_out;
DROP INDEX postings_fees;
DROP INDEX postings_deposits;
DROP INDEX postings_received;
CREATE INDEX postings_out ON postings (debit, at) WHERE kind NOT IN ('credit', 'deposit');
CREATE INDEX postings_in ON postings (credit, at) WHERE kind <> 'credit';
