//! Renewal: that it goes on, that it stops, that it never takes back what was lost, and that its failure shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use leaselock::{ErrorKind, LeaseState, LossReason};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::{client_at, keys, lost_within, sleep, timed};

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_02_renewal_goes_on_after_one_that_timed_out() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_at(&proxy.url());
        let lease = client.acquire("res").ttl(ms(1_800)).await.unwrap();

        for _ in 0..3 {
            // From before a renewal until well after its time-out.
            sleep(450).await;
            proxy.black_hole();
            sleep(650).await;
            proxy.heal();
            until("held again", ms(900), async || {
                lease.state() == LeaseState::Held
            })
            .await;
        }
        sleep(2_500).await;

        lease.check().unwrap();
        let stats = client.stats();
        assert!(stats.renew_failures >= 1, "{stats:?}");
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_02_renewal_goes_on_after_lose_and_retake() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        for _ in 0..3 {
            let lease = client.acquire("res").ttl(ms(900)).await.unwrap();
            sleep(1_200).await;
            lease.check().unwrap();
            client.force_release("res").await.unwrap();
            assert_eq!(lost_within(&lease, ms(1_000)).await, LossReason::Released);
        }
        let last = client.acquire("res").ttl(ms(900)).await.unwrap();
        sleep(2_000).await;
        last.check().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_05_thousands_of_leases_are_all_renewed_in_time() {
    const LEASES: usize = 3_000;
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let mut leases = Vec::with_capacity(LEASES);
        for chunk in 0..LEASES / 100 {
            let taking: Vec<_> = (0..100)
                .map(|i| {
                    let client = client.clone();
                    let name = format!("res-{}", chunk * 100 + i);
                    tokio::spawn(async move { client.acquire(&name).ttl(ms(4_000)).await })
                })
                .collect();
            for lease in taking {
                leases.push(lease.await.unwrap().unwrap());
            }
        }

        sleep(9_000).await;

        let lost = leases.iter().filter(|lease| !lease.held()).count();
        assert_eq!(lost, 0, "{:?}", client.stats());
        assert_eq!(client.stats().held, LEASES as u64);
        let (closed, took) = timed(client.close()).await;
        closed.unwrap();
        assert!(took < ms(5_000), "{took:?}");
        assert_eq!(server.int(&["DBSIZE"]), 1, "the counter alone is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_06_a_failing_renewal_shows_before_the_lease_is_lost() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_at(&proxy.url());
        let lease = client.acquire("res").ttl(ms(1_800)).await.unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let teller = told.clone();
        lease.on_lost(Box::new(move |reason| {
            assert_eq!(reason, LossReason::Expired);
            teller.fetch_add(1, SeqCst);
        }));
        let start = Instant::now();
        proxy.refuse();

        until("unsure", ms(1_600), async || {
            lease.state() == LeaseState::Unsure
        })
        .await;
        assert!(lease.held(), "unsure is still held");
        lease.check().unwrap();
        assert!(client.stats().renew_failures > 0);

        assert_eq!(lost_within(&lease, ms(2_000)).await, LossReason::Expired);
        assert!(start.elapsed() < ms(1_900), "{:?}", start.elapsed());
        assert_eq!(lease.state(), LeaseState::Lost);
        let error = lease.check().expect_err("lost");
        assert_eq!(
            (error.kind(), error.loss_reason()),
            (ErrorKind::LeaseLost, Some(LossReason::Expired))
        );
        until("told", ms(500), async || told.load(SeqCst) == 1).await;

        // Told once; asked again, told at once.
        proxy.heal();
        sleep(1_500).await;
        assert_eq!(told.load(SeqCst), 1);
        assert_eq!(lost_within(&lease, ms(100)).await, LossReason::Expired);
        let again = Arc::new(AtomicUsize::new(0));
        let teller = again.clone();
        lease.on_lost(Box::new(move |_| {
            teller.fetch_add(1, SeqCst);
        }));
        assert_eq!(again.load(SeqCst), 1);
        assert_eq!(client.stats().lost, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_06_a_callback_that_panics_does_not_end_the_renewal_of_others() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lost = client.acquire("lost").ttl(ms(600)).await.unwrap();
        let kept = client.acquire("kept").ttl(ms(600)).await.unwrap();
        // Unwinds as a panic does, without the trace that takes a debug build longer to print than the lease lasts.
        lost.on_lost(Box::new(|_| {
            std::panic::resume_unwind(Box::new("a user's mistake"))
        }));

        client.force_release("lost").await.unwrap();
        lost_within(&lost, ms(1_500)).await;
        sleep(1_500).await;

        kept.check().unwrap();
        assert!(kept.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_08_a_lost_name_is_never_taken_back_by_its_renewal() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());

        let missing = client.acquire("missing").ttl(ms(600)).await.unwrap();
        server.run(&["DEL", &keys("missing").lock]);
        assert_eq!(lost_within(&missing, ms(1_000)).await, LossReason::Released);
        sleep(800).await;
        assert!(!server.exists(&keys("missing").lock));
        let error = missing.extend(Some(ms(5_000))).await.expect_err("lost");
        assert_eq!(error.kind(), ErrorKind::LeaseLost);
        assert!(!server.exists(&keys("missing").lock));

        let taken = client.acquire("taken").ttl(ms(600)).await.unwrap();
        server.run(&["SET", &keys("taken").lock, "other", "PX", "3000"]);
        assert_eq!(lost_within(&taken, ms(1_000)).await, LossReason::Taken);
        sleep(800).await;
        assert!(
            server.int(&["PTTL", &keys("taken").lock]) < 2_500,
            "not renewed"
        );
        assert_eq!(
            server.text(&["GET", &keys("taken").lock]).as_deref(),
            Some("other")
        );
    }
}

/// D1: a loss the server knows of is signalled within a third of the TTL and one command time-out.
#[tokio::test(flavor = "multi_thread")]
async fn a_loss_the_server_knows_of_is_told_at_the_next_renewal() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(3_000)).await.unwrap();
        client.force_release("res").await.unwrap();

        let (reason, took) = timed(lost_within(&lease, ms(3_000))).await;

        assert_eq!(reason, LossReason::Released);
        assert!(took < ms(1_300), "{took:?}");
    }
}

/// It was sent before the extension by another connection, and the network let it through afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_45_a_renewal_that_arrives_late_does_not_take_an_extension_back() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_at(&proxy.url());
        let lease = client.acquire("res").ttl(ms(3_000)).await.unwrap();
        let left = || server.int(&["PTTL", &keys("res").lock]);
        proxy.hold_back(0);
        until("a renewal is given up", ms(2_900), async || {
            client.stats().renew_failures > 0
        })
        .await;
        lease.extend(Some(ms(60_000))).await.unwrap();
        assert!(left() > 50_000, "{}", left());

        proxy.let_through(0);
        sleep(500).await;

        assert!(left() > 50_000, "{}", left());
        assert!(lease.expires_in() > ms(50_000), "{:?}", lease.expires_in());
        // Only whoever holds it may shorten it.
        lease.extend(Some(ms(5_000))).await.unwrap();
        assert!(left() <= 5_000, "{}", left());
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_12_the_shortest_ttl_is_no_renewal_loop() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let lease = client.acquire("res").ttl(ms(100)).await.unwrap();

        sleep(1_500).await;

        let renewals = client.stats().renewals;
        assert!(
            renewals < 1_500 / 20,
            "{renewals} in 1.5 s at a TTL of 100 ms"
        );
        assert!(
            lease.state() != LeaseState::Held || renewals > 10,
            "{renewals}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn max_hold_ends_a_hung_holder_however_long_its_extensions() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let start = Instant::now();
        let lease = client
            .acquire("res")
            .ttl(ms(600))
            .max_hold(ms(1_500))
            .await
            .unwrap();
        sleep(400).await;
        lease.extend(Some(ms(1_000))).await.unwrap();
        let error = lease
            .extend(Some(ms(1_200)))
            .await
            .expect_err("past max_hold");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");

        let reason = lost_within(&lease, ms(3_000)).await;

        assert_eq!(reason, LossReason::MaxHold);
        let held = start.elapsed();
        assert!(held > ms(1_300) && held < ms(1_600), "{held:?}");
        sleep(100).await;
        assert!(
            !server.exists(&keys("res").lock),
            "the server's time is cut, too"
        );
    }
}
