-- Once: the row remembers the largest token that has written it.
ALTER TABLE orders ADD COLUMN fence bigint NOT NULL DEFAULT 0;

-- Every write under the lock: $1 is lease.token.
UPDATE orders SET state = $2, fence = $1 WHERE id = $3 AND fence <= $1;
-- No row changed: a later holder has been here. Stop.
