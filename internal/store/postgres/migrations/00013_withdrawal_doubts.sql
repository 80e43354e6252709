-- +goose Up
-- When a withdrawal was paid, though it may have come back since (0: never), and
-- the line of a statement that brought it back.
ALTER TABLE withdrawals ADD COLUMN paid_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE withdrawals ADD COLUMN back_id BIGINT NOT NULL DEFAULT 0;
-- Whether its provider once said that it has the order, and who was given it.
ALTER TABLE withdrawals ADD COLUMN taken BIGINT NOT NULL DEFAULT 0;
ALTER TABLE withdrawals ADD COLUMN sent_by TEXT NOT NULL DEFAULT '';
-- What was told of it that the books do not say, a line each, and whether a person
-- still has to look.
ALTER TABLE withdrawals ADD COLUMN doubts TEXT NOT NULL DEFAULT '';
ALTER TABLE withdrawals ADD COLUMN contested BIGINT NOT NULL DEFAULT 0;
UPDATE withdrawals SET paid_at = settled_at WHERE state = 'success';
CREATE INDEX withdrawals_contested ON withdrawals (id) WHERE contested = 1;
CREATE INDEX withdrawals_sent ON withdrawals (wallet, sent_at);

-- +goose Down
DROP INDEX withdrawals_sent;
DROP INDEX withdrawals_contested;
ALTER TABLE withdrawals DROP COLUMN contested;
ALTER TABLE withdrawals DROP COLUMN doubts;
ALTER TABLE withdrawals DROP COLUMN sent_by;
ALTER TABLE withdrawals DROP COLUMN taken;
ALTER TABLE withdrawals DROP COLUMN back_id;
ALTER TABLE withdrawals DROP COLUMN paid_at;
