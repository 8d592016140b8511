//! The blocking client under faults: its uncontended calls go by connections of their own, in the caller's thread.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use leaselock::{Client, ErrorKind, LeaseState, LossReason, blocking};

use crate::common::proxy::Proxy;
use crate::common::{Server, ms};
use crate::{APP, keys};

fn client_at(url: &str, command_timeout: Duration) -> blocking::Client {
    Client::builder()
        .url(url)
        .app_id(APP)
        .command_timeout(command_timeout)
        .build_blocking()
        .unwrap()
}

/// A client whose connection for uncontended calls is open and has counted just now.
fn warm(url: &str, command_timeout: Duration) -> blocking::Client {
    let client = client_at(url, command_timeout);
    for _ in 0..5 {
        assert!(client.acquire("warm").call().unwrap().release().unwrap());
        std::thread::sleep(ms(10));
    }
    client
}

fn proxied(server: &Server) -> (tokio::runtime::Runtime, Proxy) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(Proxy::start(server.port));
    (runtime, proxy)
}

fn gone_within(server: &Server, name: &str, limit: Duration) {
    let keys = keys(name);
    let start = Instant::now();
    while server.int(&["EXISTS", &keys.lock, &keys.queue]) > 0 {
        assert!(start.elapsed() < limit, "still there after {limit:?}");
        std::thread::sleep(ms(5));
    }
}

#[test]
fn killed_connections_are_made_again_unseen() {
    for server in Server::each(&[]) {
        let client = warm(&server.url(), ms(5_000));
        for round in 0..10 {
            server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
            let lease = client
                .acquire("res")
                .ttl(ms(20_000))
                .call()
                .expect("a new connection");
            if round % 2 == 0 {
                server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            assert!(lease.release().expect("a new connection"), "round {round}");
            assert!(!server.exists(&keys("res").lock), "round {round}");
        }
    }
}

#[test]
fn field_bug_31_forgotten_scripts_are_loaded_again_unseen_in_threads() {
    for server in Server::each(&[]) {
        let client = warm(&server.url(), ms(5_000));
        for pause in [0, 0, 1_100] {
            // After a second a take goes by script again.
            std::thread::sleep(ms(pause));
            server.run(&["SCRIPT", "FLUSH"]);
            let lease = client.acquire("res").call().unwrap();
            server.run(&["SCRIPT", "FLUSH"]);
            lease.extend(None).unwrap();
            server.run(&["SCRIPT", "FLUSH"]);
            assert!(lease.release().unwrap());
        }
    }
}

#[test]
fn field_bug_35_a_lost_reply_is_no_refusal_in_threads() {
    for server in Server::each(&[]) {
        let (_runtime, proxy) = proxied(&server);
        let client = warm(&proxy.url(), ms(2_000));
        for round in 0..6 {
            proxy.to_client().lose_next();
            let lease = if round % 2 == 0 {
                client
                    .acquire("res")
                    .ttl(ms(20_000))
                    .call()
                    .expect("its own lock")
            } else {
                let tried = client.try_acquire("res").ttl(ms(20_000)).call();
                tried
                    .expect("answered by the retry")
                    .expect("nobody else has it")
            };
            let on_server = server.text(&["GET", &keys("res").lock]);
            assert_eq!(on_server.as_deref(), Some(lease.owner()));

            proxy.to_client().lose_next();
            assert!(
                lease.release().expect("the retry answers"),
                "its own success"
            );
            assert!(!server.exists(&keys("res").lock));
            assert!(client.acquire("res").call().unwrap().release().unwrap());
        }
    }
}

#[test]
fn a_black_hole_ends_in_bounded_time_and_is_undone() {
    for server in Server::each(&[]) {
        let (_runtime, proxy) = proxied(&server);
        let client = warm(&proxy.url(), ms(600));
        proxy.black_hole();
        let start = Instant::now();
        let error = client
            .try_acquire("res")
            .ttl(ms(20_000))
            .call()
            .expect_err("silence");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(start.elapsed() < ms(1_700), "{:?}", start.elapsed());

        proxy.heal();
        std::thread::sleep(ms(100));
        gone_within(&server, "res", ms(3_000));
        std::thread::sleep(ms(800));
        assert!(!server.exists(&keys("res").lock));
        assert!(client.acquire("res").call().unwrap().release().unwrap());
    }
}

#[test]
fn field_bug_11_a_late_answer_is_released_not_held_in_threads() {
    for server in Server::each(&[]) {
        let (_runtime, proxy) = proxied(&server);
        let client = warm(&proxy.url(), ms(600));
        for delay in [100, 400, 900] {
            proxy.to_client().delay_ms.store(delay, SeqCst);
            match client.try_acquire("res").ttl(ms(700)).renew(false).call() {
                Ok(Some(lease)) => {
                    let there = server.int(&["PTTL", &keys("res").lock]);
                    let here = i64::try_from(lease.expires_in().as_millis()).unwrap();
                    assert!(lease.held() && here > 0, "handed over when already over");
                    assert!(here <= there, "{here} ms here, {there} ms there");
                }
                Ok(None) => panic!("nobody else has it"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}"),
            }
            proxy.heal();
            gone_within(&server, "res", ms(3_000));
        }
    }
}

#[test]
fn a_silent_server_at_the_release_is_an_error_that_may_be_tried_again() {
    for server in Server::each(&[]) {
        let client = warm(&server.url(), ms(500));
        let lease = client.acquire("res").ttl(ms(20_000)).call().unwrap();
        server.pause();
        let start = Instant::now();
        let error = lease.release().expect_err("silence");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
        assert!(start.elapsed() < ms(1_700), "{:?}", start.elapsed());
        assert_eq!(lease.state(), LeaseState::Released);
        server.resume();
        assert!(lease.release().expect("tried again"));
        assert!(!server.exists(&keys("res").lock));
    }
}

#[test]
fn the_token_grows_over_a_server_restarted_empty() {
    for mut server in Server::each(&[]) {
        let client = warm(&server.url(), ms(5_000));
        let mut last = 0;
        for _ in 0..4 {
            for _ in 0..5 {
                let lease = client.acquire("res").call().unwrap();
                assert!(lease.token() > last, "{} after {last}", lease.token());
                last = lease.token();
                assert!(lease.release().unwrap());
            }
            server.kill();
            server.start_again();
        }
        // And over a FLUSHALL that no connection notices.
        for _ in 0..20 {
            let lease = client.acquire("res").call().unwrap();
            assert!(lease.token() > last, "{} after {last}", lease.token());
            last = lease.token();
            server.run(&["FLUSHALL"]);
        }
    }
}

#[test]
fn a_lease_is_lost_at_its_deadline_while_its_holder_is_busy() {
    for server in Server::each(&[]) {
        let client = warm(&server.url(), ms(500));
        let lease = client.acquire("res").ttl(ms(900)).call().unwrap();
        server.pause();
        let start = Instant::now();
        assert!(lease.wait_lost(Some(ms(3_000))).unwrap());
        assert!(start.elapsed() < ms(1_000), "{:?}", start.elapsed());
        assert_eq!(lease.loss_reason(), Some(LossReason::Expired));
        assert!(!lease.held());
        server.resume();
        std::thread::sleep(ms(300));
        assert!(!lease.release().unwrap());
        assert!(!server.exists(&keys("res").lock));
    }
}

#[test]
fn refusals_are_typed_and_fast() {
    for server in Server::each(&[]) {
        let client = warm(&server.url(), ms(5_000));
        server.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        server.run(&["CONFIG", "SET", "maxmemory", "1"]);
        let start = Instant::now();
        let error = client.acquire("res").call().expect_err("out of memory");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        assert!(start.elapsed() < ms(1_000));
        server.run(&["CONFIG", "SET", "maxmemory", "0"]);
        assert!(!server.exists(&keys("res").lock));

        server.run(&["CONFIG", "SET", "requirepass", "secret"]);
        let stranger = client_at(&server.url(), ms(5_000));
        let error = stranger.acquire("res").call().expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
    }
}

/// Many threads on few names: exclusion, order, and every wake-up.
#[test]
fn field_bug_24_many_threads_never_meet_and_never_miss_a_wake_up() {
    for server in Server::each(&[]) {
        let clients: Vec<_> = (0..3)
            .map(|_| client_at(&server.url(), ms(5_000)))
            .collect();
        let (inside, longest, last) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|threads| {
            for thread in 0..12 {
                let client = &clients[thread % 3];
                let (inside, longest, last) = (&inside, &longest, &last);
                threads.spawn(move || {
                    for _ in 0..30 {
                        let start = Instant::now();
                        let lease = client.acquire("res").ttl(ms(60_000)).call().unwrap();
                        let waited = u64::try_from(start.elapsed().as_millis()).unwrap();
                        longest.fetch_max(waited, SeqCst);
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "two holders");
                        assert!(last.swap(lease.token(), SeqCst) < lease.token());
                        assert_eq!(inside.fetch_sub(1, SeqCst), 1);
                        assert!(lease.release().unwrap());
                    }
                });
            }
        });
        let longest = ms(longest.load(SeqCst));
        assert!(longest < ms(1_500), "{longest:?}");
        gone_within(&server, "res", ms(500));
    }
}

/// As many calls at once as threads: connections are shared or bounded, and closed in the end.
#[test]
fn a_crowd_of_threads_opens_a_bounded_number_of_connections() {
    for server in Server::each(&[]) {
        let before = server.connections();
        let client = client_at(&server.url(), ms(5_000));
        std::thread::scope(|threads| {
            for thread in 0..150 {
                let client = &client;
                threads.spawn(move || {
                    for round in 0..5 {
                        let name = format!("res-{thread}-{round}");
                        assert!(client.acquire(name).call().unwrap().release().unwrap());
                    }
                });
            }
        });
        let open = server.connections() - before;
        assert!(open <= 70, "{open} connections");
        client.close().unwrap();
        drop(client);
        let start = Instant::now();
        while server.connections() > before {
            assert!(start.elapsed() < ms(2_000), "{}", server.connections());
        }
        assert_eq!(server.int(&["DBSIZE"]), 1);
    }
}

#[test]
fn closing_ends_the_waiters_of_other_threads() {
    for server in Server::each(&[]) {
        let (holder, client) = (
            client_at(&server.url(), ms(5_000)),
            client_at(&server.url(), ms(5_000)),
        );
        let lease = holder.acquire("res").ttl(ms(60_000)).call().unwrap();
        std::thread::scope(|threads| {
            let waiters: Vec<_> = (0..4)
                .map(|_| threads.spawn(|| client.acquire("res").call().map(drop)))
                .collect();
            let start = Instant::now();
            while server.int(&["ZCARD", &keys("res").queue]) != 4 {
                assert!(start.elapsed() < ms(5_000));
            }
            let start = Instant::now();
            client.close().unwrap();
            for waiter in waiters {
                let error = waiter.join().unwrap().expect_err("its client is closed");
                assert_eq!(error.kind(), ErrorKind::ClientClosed);
            }
            assert!(start.elapsed() < ms(1_500), "{:?}", start.elapsed());
        });
        assert!(!server.exists(&keys("res").queue));
        lease.check().unwrap();
    }
}

#[test]
#[allow(unsafe_code)] // there is no other way to fork, and the child only asks what fails at once
fn field_bug_59_a_client_refuses_to_work_in_a_forked_child() {
    let server = Server::each(&[]).next().unwrap();
    let client = warm(&server.url(), ms(5_000));
    let lease = client.acquire("res").call().unwrap();
    // SAFETY: the child takes no lock of another thread, and ends by `_exit`.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let is_refused = |error: leaselock::Error| {
                error.kind() == ErrorKind::StoreUnavailable && error.to_string().contains("forked")
            };
            let refused = client.acquire("other").call().is_err_and(is_refused)
                && client.try_acquire("other").call().is_err_and(is_refused)
                && client.inspect("res").is_err_and(is_refused)
                && lease.extend(None).is_err_and(is_refused)
                && lease.release().is_err_and(is_refused);
            // SAFETY: nothing of the parent's is dropped or flushed.
            unsafe { nix::libc::_exit(i32::from(!refused)) };
        }
        nix::unistd::ForkResult::Parent { child } => {
            let ended = nix::sys::wait::waitpid(child, None).unwrap();
            assert_eq!(ended, nix::sys::wait::WaitStatus::Exited(child, 0));
        }
    }
    assert!(lease.held());
    assert!(lease.release().unwrap());
    assert!(client.acquire("other").call().unwrap().release().unwrap());
}
