-- +goose Up
-- What withdrawals came to and is told of them, as a merchant's list has it.
CREATE INDEX postbacks_withdrawals_listed ON postbacks (merchant, created_at) WHERE withdrawal_id <> 0;

-- +goose Down
DROP INDEX postbacks_withdrawals_listed;
