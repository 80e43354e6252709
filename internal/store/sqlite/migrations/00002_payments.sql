-- +goose Up
-- What payers do in the payment window, one row for each link.
CREATE TABLE payments (
    token        TEXT NOT NULL,
    merchant     TEXT NOT NULL,
    custom_id    TEXT NOT NULL,
    label        TEXT NOT NULL,
    currency     TEXT NOT NULL,
    method       TEXT NOT NULL,
    method_fixed INTEGER NOT NULL,
    amount       INTEGER NOT NULL,
    amount_fixed INTEGER NOT NULL,
    lang         TEXT NOT NULL,
    return_to    TEXT NOT NULL,
    wallet       TEXT NOT NULL,
    shown_until  INTEGER NOT NULL,
    amends       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (merchant, custom_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX payments_token ON payments (token);

-- +goose Down
DROP TABLE payments;
