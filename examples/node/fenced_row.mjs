// A worker that processes a row: the lock keeps others away, the fencing token keeps late writes out.
// `fenced_row.mjs FOLDER` works on order 7 of a Postgres that runs inside this process (PGlite); with a server, only
// the connection differs.
import { PGlite } from "@electric-sql/pglite";
import { Client } from "leaselock";

const ORDER = 7;

/** Writes a state, unless a larger token has written before; tells which. */
async function write(database, state, token) {
  const sql = "UPDATE orders SET state = $1, fence = $2 WHERE id = $3 AND fence <= $2";
  return (await database.query(sql, [state, token, ORDER])).affectedRows === 1;
}

const database = await PGlite.create(process.argv[2]);
await database.exec(`
  CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, state text NOT NULL, fence bigint NOT NULL DEFAULT 0);
  INSERT INTO orders (id, state) VALUES (${ORDER}, 'new') ON CONFLICT DO NOTHING;
`);

const client = new Client();
await client.using(`order-${ORDER}`, { ttl: 10_000 }, async (lease) => {
  if (!(await write(database, "paid", lease.token))) {
    throw new Error("a later holder has written this order already");
  }
  console.log(`order ${ORDER} is paid, token ${lease.token}`);

  // What a holder that was stopped for too long would try, once it runs again.
  const late = await write(database, "overwritten", lease.token - 1);
  console.log(`a write with an older token: ${late ? "accepted!" : "refused"}`);
});
await client.close();
await database.close();
