-- +goose Up
-- What payers do in the payment window, one row for each link.
CREATE TABLE payments (
    token        TEXT NOT NULL,
    merchant     TEXT NOT NULL,
    custom_id    TEXT NOT NULL,
    label        TEXT NOT NULL,
    currency     TEXT NOT NULL,
    method       TEXT NOT NULL,
    method_fixed BIGINT NOT NULL,
    amount       BIGINT NOT NULL,
    amount_fixed BIGINT NOT NULL,
    lang         TEXT NOT NULL,
    return_to    TEXT NOT NULL,
    wallet       TEXT NOT NULL,
    shown_until  BIGINT NOT NULL,
    amends       BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (merchant, custom_id)
);
CREATE UNIQUE INDEX payments_token ON payments (token);

-- +goose Down
DROP TABLE payments;
