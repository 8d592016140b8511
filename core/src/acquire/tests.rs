//! What an attempt got that nobody wants is given back.

use super::{Attempt, First};
use crate::client::Client;
use crate::error::ErrorKind;
use crate::options::{AcquireOptions, Request, Unit};

/// The client was closed while the caller's thread read the answer.
#[tokio::test]
async fn what_a_thread_got_when_its_client_had_closed_is_given_back() {
    let url = "memory:closed-meanwhile";
    let (client, other) = (Client::new(url), Client::new(url));
    let (client, other) = (client.expect("a client"), other.expect("another"));
    let lease = client.try_acquire("desk").await.expect("an answer");
    drop(lease.expect("a lease"));
    let request = Request::new("lamp", AcquireOptions::default(), Unit::Seconds);
    let request = request.expect("a request").without_wait();
    let mut attempt = Attempt::new(&client.inner, request).expect("an attempt");
    client.inner.refuse();
    match attempt.take_blocking(&|| false) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::ClientClosed),
        Ok(First::Acquired(_)) => panic!("a lease of a client that has closed"),
        Ok(First::Held | First::Undecided) => panic!("not tried in this thread"),
    }
    drop(attempt);
    client.settled().await;
    let lease = other.try_acquire("lamp").await.expect("an answer");
    assert!(lease.is_some(), "it was not given back");
}
