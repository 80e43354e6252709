-- +goose Up
-- The span of the request that made a claim, as the header traceparent of W3C Trace
-- Context; empty where nobody traced it. What becomes of the claim goes on in its trace,
-- at whichever gateway.
ALTER TABLE claims ADD COLUMN trace TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE claims DROP COLUMN trace;
