//! Where a link goes, on a network where nobody listens, and which of its connections serves.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;

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

fn link_to(addresses: Vec<Arc<Address>>) -> (Arc<Link>, Arc<Moving>) {
    let moving = Arc::new(Moving {
        addresses,
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
    (link, moving)
}

/// An address at which one connection is let in, whose `PING` is answered when that is said.
fn slow() -> (Arc<Address>, mpsc::Sender<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (answer, may_answer) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        let mut heard = Vec::new();
        let mut hear = |socket: &mut std::net::TcpStream, words: &[u8]| {
            let mut space = [0; 1024];
            while !heard.windows(words.len()).any(|part| part == words) {
                let count = socket.read(&mut space).expect("a request");
                assert!(count > 0, "the connection has ended");
                heard.extend_from_slice(&space[..count]);
            }
        };
        hear(&mut socket, b"LIB-VER");
        let greeting = b"%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n+OK\r\n+OK\r\n";
        socket.write_all(greeting).expect("written");
        hear(&mut socket, b"PING");
        may_answer.recv().expect("said so");
        socket.write_all(b"+PONG\r\n").expect("written");
        let _ = socket.read(&mut [0; 64]);
    });
    let host = Ipv4Addr::LOCALHOST.to_string();
    (Arc::new(Address::Tcp { host, port }), answer)
}

#[tokio::test]
async fn a_connection_that_was_replaced_or_left_answers_and_serves_no_more() {
    for is_left in [false, true] {
        let (address, answer) = slow();
        let (link, _) = link_to(vec![address]);
        let connection = link.connection().await.expect("it is let in");
        let asked = connection.begin(None, None, |out| out.words(&["PING"]));
        if is_left {
            link.leave();
        } else {
            link.replace(&connection);
        }
        answer.send(()).expect("it is there");
        let (replied, _) = connection.answer(asked).await;
        replied.expect("what was under way is answered");
        assert!(link.live().is_none(), "left: {is_left}");
    }
}

#[tokio::test]
async fn each_connection_is_made_where_the_locator_says_and_that_is_told_to_have_failed() {
    let (link, moving) = link_to(vec![deserted(), deserted()]);
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
