//! Connections that nobody uses: they are watched over while they are kept, and not kept for good.

use std::time::{Duration, Instant};

use super::{Caller, KINDS, Kind, Warmth, all, on_each};
use crate::common::proxy::Proxy;
use crate::common::{Server, ms, until};
use crate::sleep;

const CALLERS: usize = 20;
/// Idle for a minute, and found within a quarter more.
const GONE: Duration = ms(75_000);

#[tokio::test(flavor = "multi_thread")]
async fn field_bug_44_connections_that_were_used_at_once_do_not_stay() {
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        let client = Caller::new(Kind::Blocking, &server.url(), ms(5_000));
        for _ in 0..3 {
            let callers = (0..CALLERS).map(|number| (client.clone(), format!("res-{number}")));
            all(callers.map(|(client, name)| async move {
                let lease = client.acquire(&name, ms(20_000), None).await.unwrap();
                sleep(100).await;
                assert!(lease.release().await.unwrap());
            }))
            .await;
        }
        // All callers at once had one each, or nothing is shown.
        let most = server.connections();
        assert!(most > CALLERS / 2, "{most}");
        until("idle ones are closed", GONE, async || {
            sleep(200).await;
            server.connections() <= 2
        })
        .await;
        let lease = client.acquire("res", ms(20_000), None).await.unwrap();
        assert!(lease.release().await.unwrap());
    })
    .await;
}

/// Whoever looks for idle ones looks again, although the only one was in use whenever they looked.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_in_use_all_the_time_does_not_stay_for_good() {
    /// They look every six seconds.
    const IN_USE: Duration = ms(14_000);
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        let client = Caller::new(Kind::Blocking, &server.url(), ms(5_000));
        let start = Instant::now();
        while start.elapsed() < IN_USE {
            let lease = client.acquire("res", ms(20_000), None).await.unwrap();
            assert!(lease.release().await.unwrap());
        }
        assert!(server.connections() >= 2, "one of its own");
        until("it is closed", GONE, async || {
            sleep(200).await;
            server.connections() <= 1
        })
        .await;
    })
    .await;
}

/// The kernel's word on this process's sockets to a port: how many there are, and how many have a timer for keep-alive.
#[cfg(target_os = "linux")]
fn sockets_to(port: u16) -> (usize, usize) {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!("0100007F:{port:04X}");
    let timers: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        // The remote address; established; the timer that runs, 02 being the one of keep-alive.
        .filter(|fields| fields[2] == remote && fields[3] == "01")
        .map(|fields| fields[5].starts_with("02:"))
        .collect();
    (
        timers.len(),
        timers.iter().filter(|watched| **watched).count(),
    )
}

/// A peer that vanishes is noticed although nothing is sent to it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn field_bug_39_idle_connections_are_kept_alive() {
    on_each(|binary| async move {
        let server = Server::start(&binary, &[]);
        for kind in KINDS {
            let proxy = Proxy::start(server.port).await;
            let _client = Caller::behind(&proxy, kind, Warmth::Warm, ms(5_000)).await;
            sleep(300).await;
            let (all, watched) = sockets_to(proxy.port);
            let connections = 1 + usize::from(kind == Kind::Blocking);
            assert!(all >= connections, "{kind:?}: {all}");
            assert_eq!(watched, all, "{kind:?}");
        }
    })
    .await;
}
