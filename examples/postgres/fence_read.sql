-- The read under the lock leaves its token, too: $1 is lease.token.
UPDATE orders SET fence = $1 WHERE id = $2 AND fence <= $1 RETURNING state;
-- No row: a later holder has been here. Stop.
