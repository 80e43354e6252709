-- +goose NO TRANSACTION
-- +goose Up
-- Nothing reads these any more: what they were added up from is in turnovers. They go for
-- what the trigger costs. Deposits keep theirs, for periods that begin or end amid a quarter.
-- CONCURRENTLY, and so outside a transaction: nobody waits for whoever reads postings, such
-- as a backup.
-- Slows reports of older gateways, which added up by postings_received.
DROP INDEX CONCURRENTLY IF EXISTS postings_received;
-- Slows reports of older gateways, which added up by postings_fees.
DROP INDEX CONCURRENTLY IF EXISTS postings_fees;

-- +goose Down
CREATE INDEX postings_fees ON postings (debit, at, amount) WHERE kind = 'deposit_fee';
CREATE INDEX postings_received ON postings (debit, at, amount) WHERE kind = 'credit';
