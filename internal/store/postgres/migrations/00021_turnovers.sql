-- +goose Up
-- What every payment posts, added up by the quarter of an hour (since 1970 UTC) at the
-- account that reports ask about: credits at their wallet, deposits and their fees at
-- their merchant. Reports read some quarters instead of all postings.
CREATE TABLE turnovers (
    account  BIGINT NOT NULL,
    kind     TEXT NOT NULL,
    quarter  BIGINT NOT NULL,
    postings BIGINT NOT NULL,
    amount   BIGINT NOT NULL,
    PRIMARY KEY (account, kind, quarter)
);

-- A trigger adds to it, not the gateway: while gateways are replaced one by one older ones
-- post, too, and know nothing of it. It takes the rows in one order, and before anything
-- that a batch locks after its postings: two gateways wait for each other in no circle.
-- +goose StatementBegin
CREATE FUNCTION add_to_turnovers() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO turnovers AS t (account, kind, quarter, postings, amount)
        SELECT CASE kind WHEN 'deposit' THEN credit ELSE debit END, kind, at / 900000000, COUNT(*), SUM(amount)
        FROM added WHERE kind IN ('credit', 'deposit', 'deposit_fee') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (account, kind, quarter) DO UPDATE SET postings = t.postings + excluded.postings, amount = t.amount + excluded.amount;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- Whoever posts now waits until all this is done, so that each posting is added up once: by
-- the sum, or by the trigger.
-- Locks postings until what was posted before is added up: a second or two a million payments.
LOCK TABLE postings IN SHARE ROW EXCLUSIVE MODE;
CREATE TRIGGER postings_added AFTER INSERT ON postings REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION add_to_turnovers();
INSERT INTO turnovers (account, kind, quarter, postings, amount)
SELECT CASE kind WHEN 'deposit' THEN credit ELSE debit END, kind, at / 900000000, COUNT(*), SUM(amount)
FROM postings WHERE kind IN ('credit', 'deposit', 'deposit_fee') GROUP BY 1, 2, 3;

-- postings_received and postings_fees stay until no gateway of before is left: to drop them
-- here would wait for whoever reads postings, and the start with it.

-- +goose Down
DROP TRIGGER postings_added ON postings;
DROP FUNCTION add_to_turnovers();
DROP TABLE turnovers;
