//! What changes when nodes give another answer.

use std::time::Duration;

use super::*;
use crate::access::ServerAccess;
use crate::store::redis::config::Config;
use crate::store::redis::connect::Server;
use crate::store::redis::health::Health;
use crate::store::redis::locator::Fixed;
use crate::store::{Host, Scope};

fn node(address: &Address) -> Arc<Node> {
    let config = Config::parse("redis+cluster://nowhere.invalid", ServerAccess::default());
    let health = Health::new(Duration::from_secs(5));
    let locator = Box::new(Fixed::at(address));
    let config = Arc::new(config.expect("a URL"));
    let server = Server::new(config, locator, health, Arc::default());
    let host = Host {
        listener: Arc::new(|_| {}),
        spawn: Arc::new(drop),
    };
    let used = Arc::default();
    Node::new(server, address, "client".into(), host, Scope::all(), used)
}

#[test]
fn a_slot_that_nobody_has_any_more_has_moved() {
    let [first, second] = [1, 2].map(|port| Address::announced("a", port));
    let mut map = Map::default();
    let changed = map.set_all(&[(0, 99, first.clone()), (100, 199, second.clone())], node);
    assert!(changed.moved.is_empty() && changed.gone.is_empty());
    let changed = map.set_all(&[(0, 49, first), (50, 59, second)], node);
    let moved: Vec<u16> = (0..300).filter(|slot| changed.moved.has(*slot)).collect();
    assert_eq!(moved, (50..200).collect::<Vec<_>>());
    assert!(changed.gone.is_empty());
}
