//! Grants that are claimed, because no lease may begin with them.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use leaselock::LossReason;

use super::{HALF_WINDOW, Inbox, Scene, WINDOW, is_claimed, spawn_apart, wait_apart};
use crate::common::{ms, until};
use crate::{client_at, keys, lost_within, sleep};

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_read_late_is_claimed() {
    for scene in Scene::each().await {
        let (held, waiter) = scene.waited_for().await;
        scene.proxy.to_client().hold.store(true, SeqCst);
        assert!(held.release().await.unwrap());
        tokio::time::sleep(HALF_WINDOW + ms(50)).await;
        assert!(!waiter.is_finished());
        scene.proxy.heal();

        let lease = waiter.await.unwrap().unwrap();

        is_claimed(&lease, scene.inbox.granted());
        scene.check_deadline(&lease);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_that_asked_long_ago_claims() {
    for scene in Scene::each().await {
        let (held, waiter) = scene.waited_for().await;
        tokio::time::sleep(HALF_WINDOW).await;
        assert!(held.release().await.unwrap());

        let lease = waiter.await.unwrap().unwrap();

        is_claimed(&lease, scene.inbox.granted());
        scene.check_deadline(&lease);
    }
}

/// The server may be carrying out, or repeating, what it never answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_with_an_unanswered_command_behind_it_claims() {
    for scene in Scene::each().await {
        // Connected and listening, so that it is the reply to the wait that is lost.
        assert!(scene.begun(false).await.release().await.unwrap());
        let held = scene.held().await;
        scene.proxy.to_client().lose_next();
        let waiter = wait_apart(&scene.waiter, "res");
        until("it asked again", ms(5_000), async || {
            scene.proxy.to_client().lost.load(SeqCst) == 1 && scene.proxy.accepted() > 1
        })
        .await;
        scene.asleep().await;
        sleep(200).await;
        assert!(held.release().await.unwrap());

        let lease = waiter.await.unwrap().unwrap();

        is_claimed(&lease, scene.inbox.granted());
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_what_a_renewal_cannot_give_claims_and_has_its_full_ttl_at_once() {
    for scene in Scene::each().await {
        let ask = || scene.waiter.acquire("res").wait(ms(20_000));
        for (ttl, acquire) in [
            (1_999, ask().ttl(ms(1_999))),
            (20_000, ask().ttl(ms(20_000)).renew(false)),
            (
                20_000,
                ask().ttl(ms(20_000)).renew(false).max_hold(ms(60_000)),
            ),
            (20_000, ask().ttl(ms(20_000)).max_hold(ms(60_000))),
        ] {
            let held = scene.held().await;
            let waiter = spawn_apart(acquire.into_future());
            scene.asleep().await;
            assert!(held.release().await.unwrap());

            let lease = waiter.await.unwrap().unwrap();

            assert!(lease.token() > scene.inbox.granted(), "it began");
            let left = lease.expires_in();
            assert!(left > ms(ttl) / 2 && left <= ms(ttl), "{ttl}: {left:?}");
            scene.check_deadline(&lease);
            assert_eq!(scene.waiter.stats().renewals, 0);
            assert!(lease.release().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn max_hold_counts_from_the_claim_of_a_grant() {
    for scene in Scene::each().await {
        let held = scene.held().await;
        let acquire = scene.waiter.acquire("res").ttl(ms(2_000));
        let waiter = spawn_apart(acquire.max_hold(ms(2_500)).into_future());
        scene.asleep().await;
        sleep(600).await;
        let start = Instant::now();
        assert!(held.release().await.unwrap());
        let lease = waiter.await.unwrap().unwrap();
        let begun = Instant::now();

        assert_eq!(lost_within(&lease, ms(5_000)).await, LossReason::MaxHold);

        assert!(start.elapsed() > ms(2_400), "{:?}", start.elapsed());
        tokio::time::sleep_until((begun + ms(2_700)).into()).await;
        assert!(scene.ttl_in_store().is_zero(), "cut in the store, too");
    }
}

/// Some hours, in µs: far ahead of what the server counts, and no farther than a waiter can be.
const HOURS: u64 = 1 << 35;

/// Whoever may publish there may say anything.
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_53_a_grant_with_a_token_from_the_far_future_is_claimed() {
    for scene in Scene::each().await {
        let names = keys("res");
        for (ahead, begins) in [
            (HOURS, true),
            (2 * 24 * 3_600_000_000, false),
            (1 << 52, false),
        ] {
            let (held, waiter) = scene.waited_for().await;
            let owner = scene.queued_owner();
            let token = (held.token() + ahead).min((1 << 53) - 1);
            scene.hand_over_to(&owner);
            scene.publish(&[
                "1",
                "grant",
                &names.lock,
                &owner,
                &token.to_string(),
                "2000",
            ]);

            let lease = waiter.await.unwrap().unwrap();

            // On a machine that was too slow any grant is claimed.
            let began = lease.token() == token;
            assert!(!began || begins, "{ahead} µs ahead");
            if !began {
                is_claimed(&lease, held.token());
                assert!(lease.token() < token);
            }
            lease.check().unwrap();
            assert!(lease.release().await.unwrap());
        }
        // What is forged for nobody's turn is claimed in vain, and the waiter goes on.
        let (held, waiter) = scene.waited_for().await;
        let owner = scene.queued_owner();
        let token = ((1u64 << 53) - 1).to_string();
        scene.publish(&["1", "grant", &names.lock, &owner, &token, "2000"]);
        sleep(300).await;
        assert!(!waiter.is_finished());
        held.check().unwrap();
        assert!(held.release().await.unwrap());
        assert!(waiter.await.unwrap().unwrap().release().await.unwrap());
    }
}

/// What a hand-over of an older client publishes; and what none does.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_without_a_token_and_a_window_that_can_be_read_is_claimed() {
    for scene in Scene::each().await {
        let names = keys("res");
        for words in [
            "",
            "TOKEN",
            "TOKEN ",
            "TOKEN x",
            "TOKEN -1",
            "TOKEN 0",
            "TOKEN 1.5",
            "TOKEN 1e3",
            " 2000",
            "x 2000",
            "0 2000",
            "17 2000",
            "-5 2000",
            "TOKEN.0 2000",
            "99999999999999999999 2000",
            "TOKEN 30001",
            "TOKEN 99999999999999999999",
        ] {
            let (held, waiter) = scene.waited_for().await;
            let owner = scene.queued_owner();
            // Far ahead of what the server counts.
            let token = held.token() + HOURS;
            scene.hand_over_to(&owner);
            let mut message = vec!["1", "grant", &names.lock, &owner];
            let words = words.replace("TOKEN", &token.to_string());
            if !words.is_empty() {
                message.extend(words.split(' '));
            }
            scene.publish(&message);

            let lease = waiter.await.unwrap().unwrap();

            assert!(lease.token() > held.token(), "{words:?}");
            assert!(lease.token() < token, "{words:?}: it began");
            assert!(lease.expires_in() > WINDOW, "{words:?}");
            assert_eq!(lease.owner(), owner);
            assert!(lease.release().await.unwrap());
        }
    }
}

/// A message of the same version that says more than this client knows is understood.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_says_more_is_understood() {
    for scene in Scene::each().await {
        let (held, waiter) = scene.waited_for().await;
        let (names, owner) = (keys("res"), scene.queued_owner());
        scene.hand_over_to(&owner);
        let token = (held.token() + 1).to_string();
        scene.publish(&["1", "grant", &names.lock, &owner, &token, "2000", "more"]);
        let lease = waiter.await.unwrap().unwrap();
        assert_eq!(lease.owner(), owner);
        lease.check().unwrap();
        assert!(lease.release().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_of_another_version_is_no_news() {
    for scene in Scene::each().await {
        let (held, waiter) = scene.waited_for().await;
        let (names, owner) = (keys("res"), scene.queued_owner());
        let before = scene.scripts();
        scene.publish(&["2", "grant", &names.lock, &owner, "9", "2000"]);
        sleep(300).await;
        assert!(!waiter.is_finished());
        assert_eq!(scene.scripts(), before, "nobody asked");
        assert!(held.release().await.unwrap());
        assert!(waiter.await.unwrap().unwrap().held());
    }
}

/// Makes the waiter ask again, with what it sends held back.
async fn asks_again_in_vain(scene: &Scene) {
    let (names, owner) = (keys("res"), scene.queued_owner());
    let way = scene.proxy.to_server();
    let before = way.held.load(SeqCst);
    way.hold.store(true, SeqCst);
    // Told that the holder's time is up in a moment, it looks then.
    scene.publish(&["1", "next", &names.lock, &owner, "1"]);
    let asks = async || way.held.load(SeqCst) > before;
    until("it asks", ms(2_000), asks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_comes_while_the_waiter_asks_is_claimed_by_that() {
    for scene in Scene::each().await {
        // The server knows the scripts from here on.
        assert!(scene.begun(false).await.release().await.unwrap());
        let (held, waiter) = scene.waited_for().await;
        asks_again_in_vain(&scene).await;
        let before = scene.scripts();
        assert!(held.release().await.unwrap());
        sleep(200).await;
        assert!(!waiter.is_finished(), "it waits for its answer");
        scene.proxy.heal();

        let lease = waiter.await.unwrap().unwrap();

        is_claimed(&lease, scene.inbox.granted());
        assert_eq!(scene.scripts() - before, 2, "the release and the claim");
    }
}

/// The name was granted and taken away again before the answer: no lease begins with such a grant.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_older_than_the_last_answer_begins_nothing() {
    for scene in Scene::each().await {
        let names = keys("res");
        let (held, waiter) = scene.waited_for().await;
        let owner = scene.queued_owner();
        // Older by its place before the answer, whatever its token, and older by its token.
        for (before_the_answer, token) in [
            (true, held.token() + HOURS),
            (true, held.token()),
            (false, held.token()),
        ] {
            if before_the_answer {
                asks_again_in_vain(&scene).await;
            }
            let asked = scene.scripts();
            scene.publish(&[
                "1",
                "grant",
                &names.lock,
                &owner,
                &token.to_string(),
                "2000",
            ]);
            scene.proxy.heal();

            // The answer is that it waits; the grant makes it ask once more.
            until("it asks once more", ms(2_000), async || {
                scene.scripts() > asked + u64::from(before_the_answer)
            })
            .await;
            sleep(200).await;
            assert!(!waiter.is_finished(), "someone else holds it");
        }
        held.check().unwrap();
        assert!(held.release().await.unwrap());
        assert!(waiter.await.unwrap().unwrap().token() > held.token());
    }
}

/// The keeper's first renewal could come too late there.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_slow_connection_a_grant_is_claimed() {
    for scene in Scene::each().await {
        // Opened before, and subscribed: the delay is that of the wait alone.
        scene.waiter.acquire("other").await.unwrap();
        let held = scene.held().await;
        scene.proxy.to_server().delay_ms.store(250, SeqCst);
        let waiter = wait_apart(&scene.waiter, "res");
        scene.asleep().await;
        scene.proxy.to_server().delay_ms.store(0, SeqCst);
        sleep(300).await;
        assert!(held.release().await.unwrap());

        let lease = waiter.await.unwrap().unwrap();

        is_claimed(&lease, scene.inbox.granted());
    }
}

/// Its holder may keep the only thread, or the worker that would renew, for as long as the TTL allows.
#[tokio::test(flavor = "current_thread")]
async fn on_a_runtime_of_one_thread_that_its_holder_blocks_a_grant_is_claimed() {
    grants_are_claimed_and_last().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_runtime_one_of_whose_workers_its_holder_blocks_a_grant_is_claimed() {
    grants_are_claimed_and_last().await;
}

async fn grants_are_claimed_and_last() {
    for scene in Scene::each().await {
        let client = client_at(&scene.server.url());
        let inbox = Inbox::of(&scene.server, client.id());
        let held = scene.held().await;
        let holder = tokio::spawn(async move {
            let lease = client.acquire("res").await.unwrap();
            std::thread::sleep(WINDOW + ms(200));
            lease.check().unwrap();
            lease
        });
        scene.asleep().await;
        assert!(held.release().await.unwrap());

        let lease = holder.await.unwrap();

        is_claimed(&lease, inbox.granted());
        scene.check_deadline(&lease);
    }
}

/// The answer to a claim may be read before the grant: a release of its own would overtake the holder's, which would then find
/// the lease taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_read_after_the_lease_was_given_back_releases_nothing() {
    for scene in Scene::each().await {
        let (held, waiter) = scene.waited_for().await;
        let owner = scene.queued_owner();
        assert!(held.release().await.unwrap());
        let lease = waiter.await.unwrap().unwrap();
        assert_eq!(lease.owner(), owner);
        assert!(lease.release().await.unwrap());
        let (token, before) = (lease.token().to_string(), scene.scripts());
        scene.publish(&["1", "grant", &keys("res").lock, &owner, &token, "2000"]);
        sleep(300).await;
        assert_eq!(scene.scripts(), before, "nobody asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_to_nobody_releases_nothing() {
    for scene in Scene::each().await {
        let (held, waiter) = scene.waited_for().await;
        let token = (held.token() + 1).to_string();
        scene.publish(&["1", "grant", &keys("res").lock, "", &token, "2000"]);
        sleep(200).await;
        assert!(scene.server.exists(&keys("res").lock));
        held.check().unwrap();
        assert!(held.release().await.unwrap());
        waiter.await.unwrap().unwrap();
    }
}
