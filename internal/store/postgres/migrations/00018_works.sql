-- +goose Up
-- Files of withdrawals for banks. They hold account numbers, and are sealed.
CREATE TABLE payout_files (
    id      BIGINT PRIMARY KEY,
    desk    TEXT NOT NULL,
    wallet  TEXT NOT NULL,
    name    TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    orders  BIGINT NOT NULL,
    total   BIGINT NOT NULL,
    content BYTEA NOT NULL
);
CREATE INDEX payout_files_day ON payout_files (desk, made_at);

-- What a statement says of itself and its lines do not bear out, one a line.
ALTER TABLE statements ADD COLUMN problems TEXT NOT NULL DEFAULT '';
-- Its lines by what became of them, once it was imported to its end: JSON.
ALTER TABLE statements ADD COLUMN counts TEXT NOT NULL DEFAULT '';

-- The sum has it asked for by what names it alone: by the plain column the engines
-- would rather go through all lines.
CREATE INDEX statement_lines_open ON statement_lines ((statement + 0), line) WHERE result IN ('no_utr', 'unparsed', 'refused');

-- +goose Down
DROP INDEX statement_lines_open;
ALTER TABLE statements DROP COLUMN counts;
ALTER TABLE statements DROP COLUMN problems;
DROP TABLE payout_files;
