//! What a sentinel answers: where it says that the master is, how new that is, and which other sentinels it knows.

use std::sync::Arc;

use redis::Value;

use crate::store::Failure;
use crate::store::redis::config::{Address, Config};
use crate::store::redis::failure;
use crate::store::redis::wire::{Packed, field, text};

/// Where a master is.
#[derive(Clone)]
pub(super) struct Whereabouts {
    /// How many failovers the sentinels had agreed on by then, more or less: of two places the one with the greater number is the
    /// newer one.
    epoch: u64,
    /// The sentinel leads a failover that has come so far that the new master is one, and the replicas are about to be led to it.
    is_promoted: bool,
    pub(super) announced: Address,
    pub(super) reached: Arc<Address>,
}

impl Whereabouts {
    pub(super) fn rank(&self) -> (u64, bool) {
        (self.epoch, self.is_promoted)
    }

    /// Whether the master went here after it was at `other`.
    pub(super) fn is_after(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }
}

/// What a sentinel says of a service that it knows.
pub(super) struct Said {
    pub(super) place: Whereabouts,
    /// The other sentinels, where they are reached.
    pub(super) others: Vec<Address>,
}

/// What a sentinel answered.
pub(super) enum Heard {
    Said(Said),
    /// It does not know the service.
    Unknown,
}

/// Asks where the master of `service` is, what came before it, and who else watches it.
pub(super) fn ask(out: &mut Packed, service: &str) {
    out.words(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service]);
    out.words(&["SENTINEL", "MASTER", service]);
    out.words(&["SENTINEL", "SENTINELS", service]);
}

/// Reads the replies of the sentinel at `asked`.
pub(super) fn read(replies: &[Value], asked: &Address, config: &Config) -> Result<Heard, Failure> {
    let unexpected = || Failure::answered(failure::unexpected("sentinel master", replies));
    let [named, master, sentinels] = replies else {
        return Err(unexpected());
    };
    let named = match named {
        Value::Nil => return Ok(Heard::Unknown),
        Value::Array(named) => named,
        Value::ServerError(error) => return Err(Failure::answered(failure::from_server(error))),
        _ => return Err(unexpected()),
    };
    if let Value::ServerError(error) = master {
        // It was forgotten between the two.
        if failure::words_of(error).contains("No such master") {
            return Ok(Heard::Unknown);
        }
        return Err(Failure::answered(failure::from_server(error)));
    }
    let announced = match named.as_slice() {
        [host, port] => address(text(host), text(port), asked),
        _ => None,
    };
    let before = address(field(master, "ip"), field(master, "port"), asked);
    let epoch = field(master, "config-epoch").and_then(|epoch| epoch.parse().ok());
    let (Some(announced), Some(before), Some(epoch)) = (announced, before, epoch) else {
        return Err(unexpected());
    };
    let others = match sentinels {
        Value::Array(sentinels) => sentinels.iter(),
        // Whoever may not be told of them does without.
        _ => [].iter(),
    };
    let others = others
        .filter_map(|it| address(field(it, "ip"), field(it, "port"), asked))
        .map(|it| config.reach(it))
        .collect();
    let place = Whereabouts {
        epoch,
        is_promoted: announced != before,
        reached: Arc::new(config.reach(announced.clone())),
        announced,
    };
    Ok(Heard::Said(Said { place, others }))
}

fn address(host: Option<&str>, port: Option<&str>, asked: &Address) -> Option<Address> {
    let port = port?.parse().ok()?;
    Some(Address::announced(host?, port).beside(asked))
}

#[cfg(test)]
mod tests;
