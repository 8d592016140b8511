//! Moves money between two accounts, each of which may be changed by one at a time: both locks, or none.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use leaselock::blocking::Client;

static BALANCES: Mutex<BTreeMap<&str, i64>> = Mutex::new(BTreeMap::new());

fn balance(account: &str) -> i64 {
    BALANCES.lock().expect("nobody panics")[account]
}

fn set(account: &'static str, balance: i64) {
    BALANCES
        .lock()
        .expect("nobody panics")
        .insert(account, balance);
}

fn transfer(
    client: &Client,
    from: &'static str,
    to: &'static str,
    amount: i64,
) -> leaselock::Result<()> {
    // Whoever moves money the other way names them the other way round; they are taken in the same order all the same.
    let both = client
        .acquire_all([from, to])
        .ttl(Duration::from_secs(10))
        .wait(Duration::from_secs(30))
        .call()?;
    let before = (balance(from), balance(to));
    thread::sleep(Duration::from_millis(10)); // a database takes its time
    both.check()?; // fails if one of the locks was lost
    set(from, before.0 - amount);
    set(to, before.1 + amount);
    both.release()?;
    Ok(())
}

fn main() -> leaselock::Result<()> {
    let client = Client::from_env()?;
    set("account:4", 100);
    set("account:7", 100);
    thread::scope(|threads| {
        let moves = [
            ("account:4", "account:7", 30),
            ("account:7", "account:4", 30),
            ("account:4", "account:7", 5),
        ];
        let begun: Vec<_> = (0..3)
            .flat_map(|_| moves)
            .map(|(from, to, amount)| {
                let client = &client;
                threads.spawn(move || transfer(client, from, to, amount))
            })
            .collect();
        begun
            .into_iter()
            .try_for_each(|one| one.join().expect("it does not panic"))
    })?;
    println!("{:?}", BALANCES.lock().expect("nobody panics"));
    client.close()
}
