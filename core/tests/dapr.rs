//! Dapr on the wire: a plain Redis client plays Dapr's lock component, and each side respects the other.

mod common;

use std::time::Instant;

use common::server::command;
use common::{DAPR_UNLOCK, Server, fresh, ms};
use leaselock::{Client, LockInfo, LossReason, ReleaseStatus};

const APP: &str = "app1";

/// Dapr's component as it speaks to Redis: `TryLock` and `Unlock`.
struct Dapr(redis::Connection);

impl Dapr {
    fn on(server: &Server) -> Self {
        Self(server.connect())
    }

    fn key(resource: &str) -> String {
        format!("lock||{APP}||{resource}")
    }

    /// `SET lock||app1||res owner EX n NX`: whether it was set.
    fn try_lock(&mut self, resource: &str, owner: &str, seconds: u32) -> bool {
        let key = Self::key(resource);
        let seconds = seconds.to_string();
        command(&["SET", &key, owner, "EX", &seconds, "NX"])
            .query::<Option<String>>(&mut self.0)
            .expect("SET answers")
            .is_some()
    }

    /// The unlock script: -1 missing, -2 someone else's, else deleted.
    fn unlock(&mut self, resource: &str, owner: &str) -> i64 {
        command(&["EVAL", DAPR_UNLOCK, "1", &Self::key(resource), owner])
            .query(&mut self.0)
            .expect("EVAL answers")
    }
}

fn client(server: &Server) -> Client {
    Client::builder()
        .url(server.url())
        .app_id(APP)
        .build()
        .expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_keeps_dapr_out() {
    for server in Server::each(&[]) {
        let (mut dapr, client) = (Dapr::on(&server), client(&server));
        let lease = client.acquire("res").ttl(ms(15_000)).await.unwrap();

        assert!(!dapr.try_lock("res", "dapr", 15));
        assert_eq!(dapr.unlock("res", "dapr"), -2);
        assert!(lease.release().await.unwrap());
        assert_eq!(dapr.unlock("res", "dapr"), -1);

        assert!(dapr.try_lock("res", "dapr", 15));
        assert_eq!(dapr.unlock("res", "dapr"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dapr_holder_keeps_leases_out() {
    for server in Server::each(&[]) {
        let (mut dapr, client) = (Dapr::on(&server), client(&server));
        assert!(dapr.try_lock("res", "dapr", 15));

        assert!(client.try_acquire("res").await.unwrap().is_none());
        let LockInfo {
            name,
            owner,
            expires_in,
            waiters,
            ..
        } = client.inspect("res").await.unwrap().unwrap();
        assert_eq!((name.as_str(), owner.as_str(), waiters), ("res", "dapr", 0));
        assert!((ms(13_000)..=ms(15_000)).contains(&expires_in.unwrap()));
        assert_eq!(
            client.release("res", "someone").await.unwrap(),
            ReleaseStatus::NotOwner
        );

        assert_eq!(dapr.unlock("res", "dapr"), 1);
        assert!(client.try_acquire("res").await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dapr_lock_that_runs_out_goes_to_the_waiter() {
    for server in Server::each(&[]) {
        let (mut dapr, client) = (Dapr::on(&server), client(&server));
        assert!(dapr.try_lock("res", "dapr", 1));
        let start = Instant::now();

        let lease = client.acquire("res").wait(ms(5_000)).await.unwrap();

        assert!(start.elapsed() > ms(800), "{:?}", start.elapsed());
        assert!(start.elapsed() < ms(1_500), "{:?}", start.elapsed());
        assert_eq!(dapr.unlock("res", "dapr"), -2);
        assert!(lease.held());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dapr_unlock_is_noticed_by_the_waiter_though_it_tells_nobody() {
    for server in Server::each(&[]) {
        let (mut dapr, client) = (Dapr::on(&server), client(&server));
        assert!(dapr.try_lock("res", "dapr", 60));
        let waiter = tokio::spawn({
            let client = client.clone();
            async move { client.acquire("res").wait(ms(10_000)).await }
        });
        common::until("a waiter", ms(2_000), async || {
            client.inspect("res").await.unwrap().unwrap().waiters == 1
        })
        .await;

        let start = Instant::now();
        assert_eq!(dapr.unlock("res", "dapr"), 1);
        let lease = waiter.await.unwrap().unwrap();

        assert!(start.elapsed() < ms(4_000), "{:?}", start.elapsed());
        assert!(!dapr.try_lock("res", "dapr", 60));
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_come_before_dapr_when_a_lease_is_given_back() {
    for server in Server::each(&[]) {
        let (mut dapr, client) = (Dapr::on(&server), client(&server));
        let first = client.acquire("res").await.unwrap();
        let waiter = tokio::spawn({
            let client = client.clone();
            async move { client.acquire("res").await }
        });
        common::until("a waiter", ms(2_000), async || {
            client.inspect("res").await.unwrap().unwrap().waiters == 1
        })
        .await;

        assert!(first.release().await.unwrap());
        assert!(!dapr.try_lock("res", "dapr", 15), "handed over, never free");
        let second = waiter.await.unwrap().unwrap();
        assert!(second.token() > first.token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_gives_back_what_the_other_took() {
    for server in Server::each(&[]) {
        let (mut dapr, client) = (Dapr::on(&server), client(&server));
        assert!(dapr.try_lock("res", "dapr", 15));
        assert_eq!(
            client.release("res", "dapr").await.unwrap(),
            ReleaseStatus::Released
        );
        assert_eq!(dapr.unlock("res", "dapr"), -1);

        let lease = client.acquire("res").ttl(ms(900)).await.unwrap();
        assert_eq!(dapr.unlock("res", lease.owner()), 1);
        let reason = tokio::time::timeout(ms(2_000), lease.lost()).await.unwrap();
        assert_eq!(reason, LossReason::Released);
        assert!(!server.exists(&Dapr::key("res")), "never re-created");
    }
}

/// Dapr's lock conformance suite: its eight cases, in its order, on one client.
#[tokio::test(flavor = "multi_thread")]
async fn the_eight_conformance_cases() {
    for server in Server::each(&[]) {
        let (lock1, lock2) = (format!("lock1-{}", fresh()), format!("lock2-{}", fresh()));
        let take = |client: &Client, name: &str, seconds: u64| {
            client
                .try_acquire(name)
                .ttl(ms(seconds * 1000))
                .renew(false)
                .label("holder")
        };

        // 1. init
        let client = client(&server);
        // 2. take lock1 for 15 s
        let first = take(&client, &lock1, 15).await.unwrap().expect("lock1");
        // 3. take lock2 for 3 s
        let start = Instant::now();
        let second = take(&client, &lock2, 3).await.unwrap().expect("lock2");
        // 4. the same holder does not get lock1 again
        assert!(take(&client, &lock1, 15).await.unwrap().is_none());
        // 5. unlock what was never locked
        let missing = format!("missing-{}", fresh());
        assert_eq!(
            client.release(&missing, first.owner()).await.unwrap(),
            ReleaseStatus::NotFound
        );
        // 6. unlock with the wrong owner
        assert_eq!(
            client.release(&lock1, "nobody").await.unwrap(),
            ReleaseStatus::NotOwner
        );
        // 7. unlock
        assert_eq!(
            client.release(&lock1, first.owner()).await.unwrap(),
            ReleaseStatus::Released
        );
        // 8. lock2 can be taken again after its 3 s, and not before
        assert!(take(&client, &lock2, 3).await.unwrap().is_none());
        tokio::time::sleep(ms(3_050).saturating_sub(start.elapsed())).await;
        let again = take(&client, &lock2, 3)
            .await
            .unwrap()
            .expect("lock2 again");
        assert!(again.token() > second.token());
        assert!(!second.held());
    }
}
