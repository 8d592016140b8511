//! A candidate of the election in Rust, async or blocking. `tests/mixed/README.md` says what it is told and notes down.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use leaselock::{Client, Error, ErrorKind, Lease, blocking};
use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use tokio::sync::Notify;

const BEAT: Duration = Duration::from_millis(25);

#[derive(Deserialize)]
struct Orders {
    tag: String,
    name: String,
    ttl: u64,
    log: String,
    blocking: bool,
}

/// What the work fails with when it is told to.
#[derive(Debug)]
struct Told;

/// Nanoseconds of the clock that all the programs read.
fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("not in 500 years")
}

/// Who it is in the log, and what it is told meanwhile.
struct Candidate {
    orders: Orders,
    log: File,
    raising: AtomicBool,
    ending: AtomicBool,
    at_work: AtomicBool,
    ended: Notify,
}

impl Candidate {
    fn note(&self, at: u64, event: &str, lease: &Lease, more: &str) {
        let (tag, name, token) = (&self.orders.tag, &self.orders.name, lease.token());
        let line = format!("{at} {tag} {event} {name} {token} {more}\n");
        let written = (&self.log).write(line.as_bytes()).expect("written");
        assert_eq!(written, line.len());
    }

    /// A write to the resource if the lease is held; else one that comes too late, and false. It may have to fail.
    fn writes(&self, lease: &Lease) -> Result<bool, Told> {
        let at = now();
        let until = at + u64::try_from(lease.expires_in().as_nanos()).expect("a TTL");
        if let Err(lost) = lease.check() {
            let reason = lost.loss_reason().expect("a reason");
            self.note(now(), "lost", lease, &format!("0 {}", reason.as_str()));
            self.note(now(), "late", lease, "0");
            return Ok(false);
        }
        self.note(at, "holds", lease, &until.to_string());
        if self.raising.swap(false, SeqCst) {
            self.note(now(), "ends", lease, "0");
            return Err(Told);
        }
        Ok(true)
    }

    /// Does what it is told, in a thread.
    fn listen(self: &Arc<Self>, ended: impl FnOnce(&Self) + Send + 'static) {
        let candidate = self.clone();
        std::thread::spawn(move || {
            for _ in std::io::stdin().lines() {
                candidate.raising.store(true, SeqCst);
            }
            candidate.ending.store(true, SeqCst);
            ended(&candidate);
        });
    }
}

/// Says when the work is dropped, unless it has ended by itself.
struct AtWork<'a> {
    candidate: &'a Candidate,
    lease: Arc<Lease>,
    ended: bool,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let held = self.lease.held();
            let event = if held { "ends" } else { "stopped" };
            self.candidate.note(now(), event, &self.lease, "0");
        }
    }
}

fn lead_async(candidate: &Arc<Candidate>) -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = Client::from_env()?;
        candidate.listen(|candidate| candidate.ended.notify_one());
        let orders = &candidate.orders;
        let forever = async {
            loop {
                let leading = client.lead(&orders.name, |lease| async move {
                    let mut at_work = AtWork {
                        candidate,
                        lease: lease.clone(),
                        ended: false,
                    };
                    loop {
                        if let Err(told) = candidate.writes(&lease) {
                            at_work.ended = true;
                            return Err::<(), _>(told);
                        }
                        tokio::time::sleep(BEAT).await;
                    }
                });
                let leading = leading
                    .ttl(Duration::from_millis(orders.ttl))
                    .label(&orders.tag);
                if let Ok(()) = leading.await? {
                    return Ok(());
                }
            }
        };
        tokio::select! {
            ended = forever => ended?,
            () = candidate.ended.notified() => {}
        }
        client.close().await
    })
}

fn lead_blocking(candidate: &Arc<Candidate>) -> Result<(), Error> {
    let client: blocking::Client = Client::builder().build_blocking()?;
    let closing = client.clone();
    candidate.listen(move |candidate| {
        // Its work ends by itself; where it only waits, closing the client ends that.
        loop {
            std::thread::sleep(BEAT);
            if !candidate.at_work.load(SeqCst) {
                let _ = closing.close();
            }
        }
    });
    let orders = &candidate.orders;
    let work = |lease: &blocking::Lease| {
        candidate.at_work.store(true, SeqCst);
        let worked = work_blocking(candidate, lease);
        candidate.at_work.store(false, SeqCst);
        worked
    };
    while !candidate.ending.load(SeqCst) {
        let leading = client.lead(&orders.name, work);
        let leading = leading
            .ttl(Duration::from_millis(orders.ttl))
            .label(&orders.tag);
        match leading.call() {
            Err(error) if error.kind() == ErrorKind::ClientClosed => {}
            ended => {
                let _ = ended?;
            }
        }
    }
    client.close()
}

fn work_blocking(candidate: &Candidate, lease: &blocking::Lease) -> Result<(), Told> {
    while !candidate.ending.load(SeqCst) {
        if !candidate.writes(lease.as_ref())? {
            candidate.note(now(), "stopped", lease.as_ref(), "0");
            return Ok(());
        }
        let _ = lease.wait_lost(Some(BEAT));
    }
    candidate.note(now(), "ends", lease.as_ref(), "0");
    Ok(())
}

fn main() -> Result<(), Error> {
    println!("{}", std::process::id());
    let orders = std::env::args().nth(1).expect("orders");
    let orders: Orders = serde_json::from_str(&orders).expect("orders");
    let log = OpenOptions::new().append(true).open(&orders.log);
    let candidate = Arc::new(Candidate {
        log: log.expect("the log"),
        orders,
        raising: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        at_work: AtomicBool::new(false),
        ended: Notify::new(),
    });
    if candidate.orders.blocking {
        lead_blocking(&candidate)
    } else {
        lead_async(&candidate)
    }
}
