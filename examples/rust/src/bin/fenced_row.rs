//! A worker that processes a row: the lock keeps others away, the fencing token keeps late writes out.
//!
//! `fenced_row DATABASE` works on order 7 of a `SQLite` file. With Postgres only the driver differs.
use std::time::Duration;

use leaselock::blocking::{Client, Lease};
use rusqlite::{Connection, params};

const ORDER: i64 = 7;
const WRITE: &str = "UPDATE orders SET state = ?1, fence = ?2 WHERE id = ?3 AND fence <= ?2";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: fenced_row DATABASE")?;
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(5))?;
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS orders
             (id INTEGER PRIMARY KEY, state TEXT NOT NULL, fence INTEGER NOT NULL DEFAULT 0);
         INSERT OR IGNORE INTO orders (id, state) VALUES (7, 'new');",
    )?;

    let client = Client::from_env()?;
    let lease = client
        .acquire(format!("order-{ORDER}"))
        .ttl(Duration::from_secs(10))
        .call()?;
    process(&database, &lease)?;

    // What a holder that was stopped for too long would try, once it runs again.
    let late = write(&database, "overwritten", lease.token() - 1)?;
    println!(
        "a write with an older token: {}",
        if late { "accepted!" } else { "refused" }
    );
    lease.release()?;
    client.close()?;
    Ok(())
}

fn process(database: &Connection, lease: &Lease) -> Result<(), Box<dyn std::error::Error>> {
    if write(database, "paid", lease.token())? {
        println!("order {ORDER} is paid, token {}", lease.token());
        Ok(())
    } else {
        Err("a later holder has written this order already".into())
    }
}

/// Writes a state, unless a larger token has written before; tells which.
fn write(database: &Connection, state: &str, token: u64) -> rusqlite::Result<bool> {
    let token = i64::try_from(token).expect("tokens are below 2^53");
    Ok(database.execute(WRITE, params![state, token, ORDER])? == 1)
}
