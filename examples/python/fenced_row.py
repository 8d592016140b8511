"""A worker that processes a row: the lock keeps others away, the fencing token keeps late writes out.

`fenced_row.py DATABASE` works on order 7 of an SQLite file. With Postgres only the driver differs.
"""

import sqlite3
import sys

from leaselock import Client

ORDER = 7


def write(database: sqlite3.Connection, state: str, token: int) -> bool:
    """Writes a state, unless a larger token has written before; tells which."""
    with database:
        done = database.execute(
            "UPDATE orders SET state = ?1, fence = ?2 WHERE id = ?3 AND fence <= ?2", (state, token, ORDER)
        )
    return done.rowcount == 1


def main() -> None:
    """Takes the order's lock, writes, and shows that an older token is refused."""
    database = sqlite3.connect(sys.argv[1])
    with database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS orders"
            " (id INTEGER PRIMARY KEY, state TEXT NOT NULL, fence INTEGER NOT NULL DEFAULT 0)"
        )
        database.execute("INSERT OR IGNORE INTO orders (id, state) VALUES (?, 'new')", (ORDER,))

    with Client() as client, client.lock(f"order-{ORDER}", ttl=10) as lease:
        if not write(database, "paid", lease.token):
            raise SystemExit("a later holder has written this order already")
        print(f"order {ORDER} is paid, token {lease.token}")

        # What a holder that was stopped for too long would try, once it runs again.
        late = write(database, "overwritten", lease.token - 1)
        print(f"a write with an older token: {'accepted!' if late else 'refused'}")


if __name__ == "__main__":
    main()
