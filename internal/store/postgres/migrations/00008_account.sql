-- +goose Up
-- Withdrawals that gave back what they held, for the merchant's account. Those that
-- were paid are left out.
CREATE INDEX withdrawals_returned ON withdrawals (merchant, settled_at, id) WHERE state IN ('failed', 'canceled');

-- +goose Down
DROP INDEX withdrawals_returned;
