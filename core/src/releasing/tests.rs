//! What is given back for later stays taken until then, and no longer.

use std::time::Duration;

use crate::client::Client;
use crate::clock::Moment;
use crate::holding::Next;

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
