//! Leaders whose future is dropped, whose work panics, who leave their lease with others, who cannot reach the store.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use leaselock::{Client, ErrorKind, Lease, blocking};
use tokio::sync::Notify;

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{APP, client_at, client_with, gone_within, keys, queued, sleep};

/// Says on drop whether the key was there still.
struct LooksOnDrop<'a>(&'a Server, &'static str, &'a Mutex<Option<bool>>);

impl Drop for LooksOnDrop<'_> {
    fn drop(&mut self) {
        *self.2.lock().unwrap() = Some(self.0.exists(&keys(self.1).lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_dropped_drops_its_work_and_then_gives_the_name_back() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let kept = Mutex::new(None::<Arc<Lease>>);
        let (held, at_work) = (Mutex::new(None), Notify::new());
        {
            let leading = client.lead("dropped", |lease| {
                // Whoever keeps the lease does not keep the name.
                *kept.lock().unwrap() = Some(lease);
                let looks = LooksOnDrop(&server, "dropped", &held);
                let at_work = &at_work;
                async move {
                    let _looks = looks;
                    at_work.notify_one();
                    pending::<()>().await;
                }
            });
            tokio::select! {
                outcome = leading.into_future() => panic!("{outcome:?}"),
                () = at_work.notified() => {}
            }
        }
        assert_eq!(*held.lock().unwrap(), Some(true));
        gone_within(&server, "dropped", ms(1_000)).await;
        assert!(!kept.lock().unwrap().as_ref().unwrap().held());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_panics_gives_the_name_back() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let leading = client.lead("panics", |_| async { panic!("own") });
        let ended = tokio::spawn(leading.ttl(ms(60_000)).into_future()).await;
        assert!(ended.unwrap_err().is_panic());
        gone_within(&server, "panics", ms(1_000)).await;

        let url = server.url();
        let blocked = tokio::task::spawn_blocking(move || {
            let client = blocking_at(&url);
            let leading = client.lead("panics", |_| panic!("own"));
            let call = AssertUnwindSafe(|| leading.ttl(ms(60_000)).call());
            assert!(catch_unwind(call).is_err());
            assert!(client.try_acquire("panics").call().unwrap().is_some());
        });
        blocked.await.unwrap();
    }
}

fn blocking_at(url: &str) -> blocking::Client {
    let builder = Client::builder().url(url).app_id(APP);
    builder.build_blocking().expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_work_is_its_result_and_the_name_is_free_by_then() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let led = client.lead("fails", |_| async { Err::<(), _>("own") });
        assert_eq!(led.await.unwrap(), Err("own"));
        assert!(!server.exists(&keys("fails").lock));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_comes_of_the_loss_counts_for_nothing() {
    for server in Server::each(&[]) {
        let client = client_at(&server.url());
        let terms = AtomicUsize::new(0);
        let led = client.lead("lost", |lease| {
            let (client, terms) = (client.clone(), &terms);
            async move {
                if terms.fetch_add(1, SeqCst) == 0 {
                    // Whoever looks all the time sees it before he is stopped.
                    client.force_release("lost").await?;
                    loop {
                        lease.check()?;
                        tokio::task::yield_now().await;
                    }
                }
                Ok::<_, leaselock::Error>(lease.token())
            }
        });
        led.ttl(ms(600)).await.unwrap().unwrap();
        assert_eq!(terms.load(SeqCst), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_ends_no_wait_to_lead() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client_with(&proxy.url(), ms(300));
        proxy.refuse();
        let other = client.clone();
        let leading = tokio::spawn(async move { other.lead("far", |_| async { 7 }).await });
        sleep(1_500).await;
        assert!(!leading.is_finished());
        proxy.heal();
        assert_eq!(leading.await.unwrap().unwrap(), 7);

        // Nor does one that goes while somebody waits in line.
        let before = client_at(&server.url()).acquire("far").await.unwrap();
        let other = client.clone();
        let leading = tokio::spawn(async move { other.lead("far", |_| async { 8 }).await });
        queued(&server, "far", 1).await;
        proxy.refuse();
        proxy.cut();
        sleep(1_500).await;
        assert!(!leading.is_finished());
        before.release().await.unwrap();
        proxy.heal();
        assert_eq!(leading.await.unwrap().unwrap(), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_client_ends_the_wait_for_a_store() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        proxy.refuse();
        let client = client_with(&proxy.url(), ms(300));
        let other = client.clone();
        let leading = tokio::spawn(async move { other.lead("never", |_| async {}).await });
        sleep(600).await;
        let closed = Instant::now();
        let _ = client.close().await;
        let error = leading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientClosed);
        assert!(closed.elapsed() < ms(1_500), "{:?}", closed.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_it() {
    for server in Server::each(&[]) {
        server.run(&["CONFIG", "SET", "requirepass", "secret"]);
        let client = client_at(&server.url());
        let error = client.lead("refused", |_| async {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreRefused);
    }
}
