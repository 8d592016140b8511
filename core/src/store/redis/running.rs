//! Runs an exchange on the shared connection, to its end.

use std::time::Duration;

use tokio::sync::oneshot;

use super::connection::{Awaited, Connection, Replied};
use super::exchange::{Exchange, Step};
use super::link::Link;
use crate::clock::Moment;
use crate::store::Failure;

/// How soon a suspect connection's request looks again whether there is another connection to ask.
const REPLACE_CHECK: Duration = Duration::from_millis(50);

/// Runs an exchange on the shared connection.
pub(super) async fn run<E: Exchange>(
    link: &Link,
    connection: &Connection,
    exchange: E,
) -> Result<E::Output, Failure> {
    let begun = connection.begin(None, |out| exchange.request(out));
    go_on(link, connection, exchange, begun).await
}

/// Goes on with an exchange whose first request was begun.
pub(super) async fn go_on<E: Exchange>(
    link: &Link,
    connection: &Connection,
    mut exchange: E,
    mut begun: Awaited,
) -> Result<E::Output, Failure> {
    loop {
        let (answer, late) = connection.answer(begun).await;
        let (sent, replies) = match answer {
            Ok(answer) => answer,
            Err(failure) => match late {
                Some(late) => answered_late(link, connection, late).await.ok_or(failure)?,
                None => return Err(failure),
            },
        };
        if let Step::Done(result) = exchange.on_replies(&replies, sent) {
            if let Some(at) = exchange.seeded() {
                connection.set_seeded(at);
            }
            return result;
        }
        begun = connection.begin(None, |out| exchange.request(out));
    }
}

/// What a suspect connection still answers, until there is another one to ask.
async fn answered_late(
    link: &Link,
    connection: &Connection,
    late: oneshot::Receiver<Replied>,
) -> Option<(Moment, Vec<redis::Value>)> {
    let replaced = async {
        loop {
            match link.connection().await {
                Ok(live) if live.epoch != connection.epoch => return,
                // It serves again.
                Ok(_) => std::future::pending().await,
                Err(_) => tokio::time::sleep(REPLACE_CHECK).await,
            }
        }
    };
    tokio::select! {
        biased;
        late = late => late.ok()?.ok(),
        () = replaced => None,
    }
}
