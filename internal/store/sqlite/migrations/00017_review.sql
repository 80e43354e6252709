-- +goose Up
-- Deposits that a person took back. Their postings stay, with those that undo them; their
-- credits are others' to have.
CREATE TABLE undone (
    id        INTEGER PRIMARY KEY,       -- its claim's
    merchant  TEXT NOT NULL,
    wallet    TEXT NOT NULL,
    credit_id INTEGER NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount > 0),
    fee       INTEGER NOT NULL CHECK (fee >= 0 AND fee <= amount),
    rates_id  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    undone_at INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    why       TEXT NOT NULL
) STRICT;
CREATE INDEX undone_listed ON undone (merchant, at, id);
CREATE INDEX undone_later ON undone (merchant, undone_at, id);
CREATE INDEX undone_credit ON undone (credit_id);

-- What happened, by the quarter of an hour (since 1970 UTC), of each merchant and of
-- all (''): what the claims and deposits add up to, kept with every commit.
CREATE TABLE tallies (
    merchant  TEXT NOT NULL,
    quarter   INTEGER NOT NULL,
    made      INTEGER NOT NULL,           -- claims made in it …
    won       INTEGER NOT NULL,           -- … of those, credited by now
    lost      INTEGER NOT NULL,           -- … and refused, rejected or expired
    deposits  INTEGER NOT NULL,           -- credited in it
    amount    INTEGER NOT NULL,
    fees      INTEGER NOT NULL,
    wait_10s  INTEGER NOT NULL,           -- the deposits by how long they took from the claim on
    wait_1m   INTEGER NOT NULL,
    wait_5m   INTEGER NOT NULL,
    wait_30m  INTEGER NOT NULL,
    wait_2h   INTEGER NOT NULL,
    wait_more INTEGER NOT NULL,
    PRIMARY KEY (merchant, quarter)
) STRICT, WITHOUT ROWID;
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
