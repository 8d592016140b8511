//! Runs an exchange on the shared connection, to its end.

use std::time::Duration;

use tokio::sync::oneshot;

use super::confirming::{self, Confirming};
use super::connection::{Awaited, Connection, Replied};
use super::exchange::{At, Exchange, Rounds, Step};
use super::failure;
use super::link::Link;
use super::redirection::{Redirection, Stop};
use crate::clock::Moment;

/// How soon a suspect connection's request looks again whether there is another connection to ask.
const REPLACE_CHECK: Duration = Duration::from_millis(50);

/// Runs an exchange on a connection of `link`; with `asking` at a node to which the slot is on its way.
pub(super) async fn run<E: Exchange>(
    link: &Link,
    connection: &Connection,
    exchange: &mut E,
    asking: bool,
) -> Result<E::Output, Stop> {
    // Nobody is told of a slot that the node has not got yet: whoever waits there looks again soon.
    if exchange.needs_inbox() && !asking {
        link.listen_on(connection, exchange.slot()).await?;
    }
    exchange.on_connection(At {
        inbox_id: link.inbox_id(),
        is_seeded: connection.is_seeded(exchange.slot()),
        tracking: Some(&connection.tracking),
        is_heard: !asking,
    });
    let begun = begin(link, connection, exchange, asking);
    go_on(link, connection, exchange, asking, begun).await
}

/// A request that was begun, and what is to be confirmed of it.
pub(super) type Begun = (Awaited, Option<Confirming>);

fn begin<E: Exchange>(link: &Link, connection: &Connection, exchange: &E, asking: bool) -> Begun {
    let confirming = exchange.sets().and_then(|ttl| link.confirming(ttl));
    let awaited = connection.begin(None, confirming, |out| {
        if asking {
            out.words(&["ASKING"]);
        }
        exchange.request(out);
    });
    (awaited, confirming)
}

/// Goes on with an exchange whose first request was begun.
pub(super) async fn go_on<E: Exchange>(
    link: &Link,
    connection: &Connection,
    exchange: &mut E,
    asking: bool,
    (mut begun, mut confirming): Begun,
) -> Result<E::Output, Stop> {
    let is_of_cluster = link.is_of_cluster();
    let mut rounds = Rounds::new(link.silence());
    loop {
        let (answer, late) = connection.answer(begun).await;
        let (sent, replies) = match answer {
            Ok(answer) => answer,
            Err(failure) => match late {
                Some(late) => answered_late(link, connection, late).await.ok_or(failure)?,
                None => return Err(failure.into()),
            },
        };
        let replies = &replies[usize::from(asking).min(replies.len())..];
        let (replies, confirmation) = confirming::split(confirming, replies);
        if is_of_cluster {
            if let Some(redirection) = Redirection::of(replies, &connection.address) {
                return Err(Stop::Elsewhere(redirection));
            }
            if let Some(failure) = failure::of_half_a_script(replies) {
                return Err(Stop::Failed(failure));
            }
        }
        if let Step::Done(result) = exchange.on_replies(replies, sent) {
            if let Some(at) = exchange.seeded() {
                connection.set_seeded(exchange.slot(), at);
            }
            return confirming::judged::<E>(result, confirmation).map_err(Stop::Failed);
        }
        rounds.another(&connection.address)?;
        (begun, confirming) = begin(link, connection, exchange, asking);
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
                Err(_) if link.has_left() => return,
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
