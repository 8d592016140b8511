//! A master that its sentinels name: found, followed when it goes elsewhere, and told apart from what was the master.

mod access;
mod dapr;
mod failovers;
mod listening;
mod reach;
mod split;
mod workers;

use std::time::{Duration, Instant};

use redis::{FromRedisValue, RedisResult};

use crate::APP;
use crate::common::server::{Binary, command};
use crate::common::topology::{SERVICE, Sentinels};
use crate::common::{Keys, Server, all, ms, on_each};

async fn start(binary: &Binary) -> Sentinels {
    let binary = binary.clone();
    apart(move || Sentinels::start(&binary)).await
}

/// Something that blocks, in a thread of its own.
async fn apart<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn keys(name: &str) -> Keys {
    Keys::new(APP, name)
}

/// Waits until every replica has what the master has.
async fn replicated(sentinels: &Sentinels, name: &str, owner: &str) {
    let lock = keys(name).lock;
    crate::common::until("every replica has it", ms(10_000), async || {
        let has = |node: &Server| node.text(&["GET", &lock]).as_deref() == Some(owner);
        sentinels.nodes.iter().all(has)
    })
    .await;
}

/// Asks a server that may be down, or end connections: sentinels that lead it to another master have it do so.
fn ask<T: FromRedisValue>(server: &Server, words: &[&str]) -> RedisResult<T> {
    command(words).query(&mut server.plain_client().get_connection()?)
}

/// Waits until a sentinel names another master than the one at `old`; how long that took, and where in `nodes` it is.
async fn named(sentinels: &Sentinels, old: u16, since: Instant) -> (Duration, usize) {
    let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
    let mut asked_again = None;
    loop {
        for sentinel in &sentinels.sentinels {
            let Ok((_, port)) = ask::<(String, u16)>(sentinel, &words) else {
                continue;
            };
            if port != old {
                let at = sentinels.nodes.iter().position(|node| node.port == port);
                return (since.elapsed(), at.expect("one of the nodes"));
            }
        }
        // Sentinels that find no good replica try again after twenty seconds, but not where they were told to by hand.
        if since.elapsed() > ms(25_000) && asked_again.is_none() {
            asked_again = Some(ask::<String>(
                &sentinels.sentinels[0],
                &["SENTINEL", "FAILOVER", SERVICE],
            ));
        }
        assert!(since.elapsed() < ms(60_000), "no failover, {asked_again:?}");
        tokio::time::sleep(ms(5)).await;
    }
}
