-- +goose Up
-- Deposits that a person took back. Their postings stay, with those that undo them; their
-- credits are others' to have.
CREATE TABLE undone (
    id        BIGINT PRIMARY KEY,       -- its claim's
    merchant  TEXT NOT NULL,
    wallet    TEXT NOT NULL,
    credit_id BIGINT NOT NULL,
    amount    BIGINT NOT NULL CHECK (amount > 0),
    fee       BIGINT NOT NULL CHECK (fee >= 0 AND fee <= amount),
    rates_id  BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    undone_at BIGINT NOT NULL,
    actor     TEXT NOT NULL,
    why       TEXT NOT NULL
);
CREATE INDEX undone_listed ON undone (merchant, at, id);
CREATE INDEX undone_later ON undone (merchant, undone_at, id);
CREATE INDEX undone_credit ON undone (credit_id);

-- What happened, by the quarter of an hour (since 1970 UTC), of each merchant and of
-- all (''): what the claims and deposits add up to, kept with every commit.
CREATE TABLE tallies (
    merchant  TEXT NOT NULL,
    quarter   BIGINT NOT NULL,
    made      BIGINT NOT NULL,           -- claims made in it …
    won       BIGINT NOT NULL,           -- … of those, credited by now
    lost      BIGINT NOT NULL,           -- … and refused, rejected or expired
    deposits  BIGINT NOT NULL,           -- credited in it
    amount    BIGINT NOT NULL,
    fees      BIGINT NOT NULL,
    wait_10s  BIGINT NOT NULL,           -- the deposits by how long they took from the claim on
    wait_1m   BIGINT NOT NULL,
    wait_5m   BIGINT NOT NULL,
    wait_30m  BIGINT NOT NULL,
    wait_2h   BIGINT NOT NULL,
    wait_more BIGINT NOT NULL,
    PRIMARY KEY (merchant, quarter)
);
INSERT INTO tallies
SELECT merchant, quarter, SUM(made), SUM(won), SUM(lost), SUM(deposits), SUM(amount), SUM(fees), SUM(wait_10s), SUM(wait_1m), SUM(wait_5m), SUM(wait_30m), SUM(wait_2h), SUM(wait_more) FROM (
    SELECT merchant, created_at / 900000000 AS quarter, COUNT(*) AS made, SUM(CASE state WHEN 'credited' THEN 1 ELSE 0 END) AS won,
        SUM(CASE WHEN state IN ('refused', 'rejected', 'expired') THEN 1 ELSE 0 END) AS lost, 0 AS deposits, 0 AS amount, 0 AS fees,
        0 AS wait_10s, 0 AS wait_1m, 0 AS wait_5m, 0 AS wait_30m, 0 AS wait_2h, 0 AS wait_more
    FROM claims GROUP BY merchant, created_at / 900000000
    UNION ALL
    SELECT d.merchant, d.at / 900000000, 0, 0, 0, COUNT(*), SUM(d.amount), SUM(d.fee),
        SUM(CASE WHEN d.at - c.created_at <= 10000000 THEN 1 ELSE 0 END),
        SUM(CASE WHEN d.at - c.created_at <= 60000000 AND d.at - c.created_at > 10000000 THEN 1 ELSE 0 END),
        SUM(CASE WHEN d.at - c.created_at <= 300000000 AND d.at - c.created_at > 60000000 THEN 1 ELSE 0 END),
        SUM(CASE WHEN d.at - c.created_at <= 1800000000 AND d.at - c.created_at > 300000000 THEN 1 ELSE 0 END),
        SUM(CASE WHEN d.at - c.created_at <= 7200000000 AND d.at - c.created_at > 1800000000 THEN 1 ELSE 0 END),
        SUM(CASE WHEN d.at - c.created_at > 7200000000 THEN 1 ELSE 0 END)
    FROM deposits d JOIN claims c ON c.id = d.id GROUP BY d.merchant, d.at / 900000000) AS kept
GROUP BY merchant, quarter;
INSERT INTO tallies
SELECT '', quarter, SUM(made), SUM(won), SUM(lost), SUM(deposits), SUM(amount), SUM(fees), SUM(wait_10s), SUM(wait_1m), SUM(wait_5m), SUM(wait_30m), SUM(wait_2h), SUM(wait_more)
FROM tallies GROUP BY quarter;

-- +goose Down
DROP TABLE tallies;
DROP TABLE undone;
