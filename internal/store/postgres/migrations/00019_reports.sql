-- +goose Up
-- What came to a wallet, and when, for its statement: the index has all of it, and
-- grows at its wallets' ends only.
CREATE INDEX postings_received ON postings (debit, at, amount) WHERE kind = 'credit';

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
DROP INDEX postings_received;
