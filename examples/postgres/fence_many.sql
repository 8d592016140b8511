-- Once: one row for each lock, for work that touches many rows.
CREATE TABLE fences (lock text PRIMARY KEY, token bigint NOT NULL);

-- First thing in the transaction: $1 is the lock's name, $2 lease.token.
INSERT INTO fences (lock, token) VALUES ($1, $2)
ON CONFLICT (lock) DO UPDATE SET token = EXCLUDED.token WHERE fences.token <= EXCLUDED.token;
-- No row changed: a later holder has been here. Roll back.
