//! What only chance brings about from outside: a client that closes, or a lease that is given back, in the middle of something.

use std::time::Duration;

use super::Client;
use crate::acquire::{Attempt, First};
use crate::clock::Moment;
use crate::error::ErrorKind;
use crate::holding::Next;
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

/// A renewal had begun, and was sent after the release: the name stayed taken for a whole TTL from then on.
#[tokio::test]
async fn a_lease_that_is_given_back_for_later_is_not_renewed_after_that() {
    let client = Client::new("memory:given-back-for-later").expect("a client");
    let until = Duration::from_secs(5);
    let lease = client.acquire("lamp").min_hold(until).await;
    let lease = lease.expect("acquired");
    let now = Moment::now();
    let Next::Renew { ttl, .. } = lease.holding.on_due(now, true) else {
        panic!("nothing to renew");
    };
    let renewal = [lease.holding.renewal(ttl, false)];
    let renewing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let renewed = client.inner.store.renew(&renewal, ttl).await;
        let outcome = renewed.expect("an answer").results.pop();
        let outcome = outcome.and_then(Result::ok);
        lease.holding.on_renewed(now, ttl, outcome, None);
    };
    let (gave_back, ()) = tokio::join!(lease.release(), renewing);
    assert!(gave_back.expect("an answer"));
    let found = client.inspect("lamp").await.expect("an answer");
    let left = found.expect("kept").expires_in;
    assert!(left.is_some_and(|left| left <= until), "{left:?}");
}
