//! Where a link goes, on a network where nobody listens.

use std::net::{Ipv4Addr, TcpListener};

use super::*;
use crate::access::ServerAccess;
use crate::store::BoxFuture;
use crate::store::redis::config::Config;
use crate::store::redis::health::Health;
use crate::store::redis::locator::Locator;
use crate::store::redis::locator::RETRY_PAUSE;

/// Goes round its addresses, and notes which one it was told to have failed.
struct Moving {
    addresses: Vec<Arc<Address>>,
    failed: Mutex<Vec<Option<Address>>>,
}

impl Locator for Arc<Moving> {
    fn locate<'a>(
        &'a self,
        failed: Option<&'a Address>,
    ) -> BoxFuture<'a, Result<Arc<Address>, Failure>> {
        let mut told = lock(&self.failed);
        let next = self.addresses[told.len() % self.addresses.len()].clone();
        told.push(failed.cloned());
        Box::pin(async move { Ok(next) })
    }

    fn address(&self) -> String {
        "somewhere".to_owned()
    }
}

/// An address at which nobody listens.
fn deserted() -> Arc<Address> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let host = Ipv4Addr::LOCALHOST.to_string();
    Arc::new(Address::Tcp { host, port })
}

#[tokio::test]
async fn each_connection_is_made_where_the_locator_says_and_that_is_told_to_have_failed() {
    let moving = Arc::new(Moving {
        addresses: vec![deserted(), deserted()],
        failed: Mutex::default(),
    });
    let config = Config::parse("redis://nowhere.invalid", ServerAccess::default()).expect("a URL");
    let health = Health::new(Duration::from_secs(5));
    let (config, moving_too) = (Arc::new(config), Box::new(moving.clone()));
    let server = Server::new(config, moving_too, health, Arc::default());
    let host = Host {
        listener: Arc::new(|_| {}),
        spawn: Arc::new(|task| drop(tokio::spawn(task))),
    };
    let link = Link::new(server, "client".into(), host, Scope::all());
    for time in 0..3 {
        let failure = link.connection().await.err().expect("nobody is there");
        let there = &moving.addresses[time % 2];
        let words = failure.error.to_string();
        assert!(words.contains(&there.to_string()), "{words}");
        tokio::time::sleep(RETRY_PAUSE * 2).await;
    }
    let (_, there) = link.whereabouts().await.expect("an address");
    assert_eq!(there, moving.addresses[1]);
    let [first, second] = [0, 1].map(|at| Some((*moving.addresses[at]).clone()));
    let told = lock(&moving.failed).clone();
    assert_eq!(told, [None, first.clone(), second, first]);
}
