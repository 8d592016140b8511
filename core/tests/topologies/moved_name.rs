//! A host name that leads to another server from one moment to the next, as those of managed services and of Kubernetes do.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use leaselock::{ErrorKind, LeaseState};
use tokio::net::{TcpListener, TcpStream};

use crate::callers::{Caller, KINDS, Kind, builder};
use crate::common::{Server, binaries, fresh, ms, until};
use crate::{APP, common};

/// Everything works again by then.
const BACK: Duration = ms(8_000);
const TTL: Duration = ms(9_000);
const NAME: &str = "master.example";
/// The file that says what the name is, where the test runs itself again.
const CHILD: &str = "LEASELOCK_HOSTS";

/// Names are what `/etc/hosts` says: the test runs itself again where that is another file.
#[test]
fn must_have_7_a_master_demoted_behind_its_host_name_is_left_and_the_lease_is_kept() {
    if let Some(hosts) = std::env::var_os(CHILD) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(moved(&hosts.into()));
    }
    let unshare = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount"])
            .args(words);
        command
    };
    let permitted = unshare(&["true"])
        .output()
        .is_ok_and(|it| it.status.success());
    if !permitted {
        eprintln!("no namespaces of mounts may be made here: not tested");
        return;
    }
    let hosts = std::env::temp_dir().join(format!("leaselock-hosts-{}", fresh()));
    std::fs::write(&hosts, "").expect("a file");
    let done = unshare(&["sh", "-c", "mount --bind \"$LEASELOCK_HOSTS\" /etc/hosts && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("a path"))
        .args(["--exact", "--nocapture"])
        .arg("moved_name::must_have_7_a_master_demoted_behind_its_host_name_is_left_and_the_lease_is_kept")
        .env(CHILD, &hosts)
        .output()
        .expect("it runs");
    let _ = std::fs::remove_file(&hosts);
    let output = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

async fn moved(hosts: &PathBuf) {
    for binary in binaries() {
        let options = ["--repl-diskless-sync-delay", "0"];
        let old = Server::start(&binary, &options);
        let master = format!("127.0.0.1 {}", old.port);
        let new = Server::start(&binary, &[&options[..], &["--replicaof", &master]].concat());
        // Two hosts with the same port.
        let at_old = TcpListener::bind(("127.0.0.2", 0)).await.expect("a port");
        let port = at_old.local_addr().expect("its address").port();
        let at_new = TcpListener::bind(("127.0.0.3", port))
            .await
            .expect("the same port");
        tokio::spawn(pass_on(at_old, old.port));
        tokio::spawn(pass_on(at_new, new.port));
        std::fs::write(hosts, format!("127.0.0.2 {NAME}\n")).expect("written");
        let url = format!("redis://{NAME}:{port}");
        let keeper = builder(&url).build().expect("a client");
        let mut held = Vec::new();
        for kind in KINDS {
            let client = Caller::warm(kind, &url).await;
            let lease = keeper.acquire(format!("{kind:?}")).ttl(TTL).await.unwrap();
            held.push((client, lease));
        }
        let lock = |kind: Kind| common::Keys::new(APP, &format!("{kind:?}")).lock;
        until("both have them", ms(10_000), async || {
            KINDS.iter().all(|kind| new.exists(&lock(*kind)))
        })
        .await;

        new.run(&["REPLICAOF", "NO", "ONE"]);
        std::fs::write(hosts, format!("127.0.0.3 {NAME}\n")).expect("written");
        old.run(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]);
        let start = Instant::now();

        for (client, _) in &held {
            loop {
                match client.try_acquire("again").await {
                    Ok(lease) => {
                        assert!(lease.expect("free").release().await.unwrap());
                        break;
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}"),
                }
                assert!(start.elapsed() < BACK, "{:?}", start.elapsed());
                tokio::time::sleep(ms(20)).await;
            }
        }
        assert!(start.elapsed() < BACK, "{:?}", start.elapsed());
        eprintln!("{}: back after {:?}", binary.name, start.elapsed());
        // Past the deadline that the leases had.
        tokio::time::sleep_until((start + TTL + ms(500)).into()).await;
        for (_, lease) in held {
            assert_eq!(lease.state(), LeaseState::Held);
            assert!(lease.release().await.unwrap());
        }
        assert!(KINDS.iter().all(|kind| !new.exists(&lock(*kind))));
    }
}

async fn pass_on(listener: TcpListener, port: u16) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
