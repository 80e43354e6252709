-- +goose Up
-- What a payer's app carries to the bank as a note: a credit finds its payment by it.
ALTER TABLE payments ADD COLUMN reference TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX payments_reference ON payments (reference) WHERE reference <> '';

-- +goose Down
DROP INDEX payments_reference;
ALTER TABLE payments DROP COLUMN reference;
