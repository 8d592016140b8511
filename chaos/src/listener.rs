//! One port of the proxy, its connections, and what happens to them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::published;

/// How much of a connection's bytes may be under way where they are late.
const UNDER_WAY: usize = 64;
/// How often bytes that are held look whether they may go on.
const TICK: Duration = Duration::from_millis(2);

/// What happens to the bytes one way.
#[derive(Default)]
struct Way {
    hold: AtomicBool,
    drop: AtomicBool,
    lose: AtomicBool,
    delay_ms: AtomicU64,
}

/// What ends connections: a count for each manner.
#[derive(Clone, Copy, Default)]
struct Ends {
    cut: u64,
    reset: u64,
    half_open: u64,
}

#[derive(Default)]
struct State {
    target: AtomicU16,
    to_server: Way,
    to_client: Way,
    deaf: AtomicBool,
    refuse: AtomicBool,
    /// What clients hear in place of each chunk of the server's.
    instead: Mutex<Option<Arc<[u8]>>>,
    taken: AtomicUsize,
    touched: AtomicUsize,
    /// So many connections, the first ones, are forgotten.
    forgotten: AtomicUsize,
    ends: watch::Sender<Ends>,
}

pub(crate) struct Listener(Arc<State>);

impl Listener {
    /// Listens on a free port; the port.
    pub(crate) async fn open() -> std::io::Result<(Self, u16)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let of_listener = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => accept(client, &of_listener),
                    // As where there are no descriptors left for a moment.
                    Err(_) => tokio::time::sleep(TICK).await,
                }
            }
        });
        Ok((Self(state), port))
    }

    /// Carries out a command, without the name; the answer.
    pub(crate) fn obey(&self, command: &[&str]) -> String {
        let state = &*self.0;
        let ways = |which: &str| match which {
            "to-server" => Some(vec![&state.to_server]),
            "to-client" => Some(vec![&state.to_client]),
            "both" => Some(vec![&state.to_server, &state.to_client]),
            _ => None,
        };
        let unknown = || format!("error: what is {command:?}?");
        match *command {
            ["to", port] => match port.parse() {
                Ok(port) => state.target.store(port, Relaxed),
                Err(_) => return unknown(),
            },
            [fault @ ("hold" | "drop" | "lose"), way] => {
                let Some(ways) = ways(way) else {
                    return unknown();
                };
                for way in ways {
                    let switch = match fault {
                        "hold" => &way.hold,
                        "drop" => &way.drop,
                        _ => &way.lose,
                    };
                    switch.store(true, Relaxed);
                }
            }
            ["delay", way, ms] => {
                let (Some(ways), Ok(ms)) = (ways(way), ms.parse()) else {
                    return unknown();
                };
                for way in ways {
                    way.delay_ms.store(ms, Relaxed);
                }
            }
            ["answer", file] => match std::fs::read(file) {
                Ok(bytes) => *state.instead() = Some(bytes.into()),
                Err(error) => return format!("error: {file}: {error}"),
            },
            ["deafen"] => state.deaf.store(true, Relaxed),
            ["forget"] => state.forgotten.store(state.taken.load(Relaxed), Relaxed),
            ["half-open"] => state.ends.send_modify(|ends| ends.half_open += 1),
            ["cut"] => state.ends.send_modify(|ends| ends.cut += 1),
            ["reset"] => state.ends.send_modify(|ends| ends.reset += 1),
            ["refuse"] => state.refuse.store(true, Relaxed),
            ["pass"] => state.pass(),
            ["count"] => {
                let (taken, touched) = (state.taken.load(Relaxed), state.touched.load(Relaxed));
                return format!("{taken} {touched}");
            }
            _ => return unknown(),
        }
        "ok".to_owned()
    }
}

impl State {
    fn instead(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.instead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        self.refuse.store(false, Relaxed);
        self.deaf.store(false, Relaxed);
        // Who was told nonsense is told no more.
        if self.instead().take().is_some() {
            self.ends.send_modify(|ends| ends.cut += 1);
        }
        for way in [&self.to_server, &self.to_client] {
            way.hold.store(false, Relaxed);
            way.lose.store(false, Relaxed);
            way.delay_ms.store(0, Relaxed);
            // No network loses a part of a stream and goes on with it.
            if way.drop.swap(false, Relaxed) {
                self.ends.send_modify(|ends| ends.cut += 1);
            }
        }
    }
}

fn accept(client: TcpStream, state: &Arc<State>) {
    if state.refuse.load(Relaxed) {
        return;
    }
    let number = state.taken.fetch_add(1, Relaxed);
    tokio::spawn(connection(client, number, Arc::clone(state)));
}

async fn connection(client: TcpStream, number: usize, state: Arc<State>) {
    let mut ends = state.ends.subscribe();
    let before = *ends.borrow_and_update();
    let target = ("127.0.0.1", state.target.load(Relaxed));
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forgotten = || number < state.forgotten.load(Relaxed);
    let towards_server = Pump {
        way: &state.to_server,
        state: &state,
        number,
        to_client: false,
    };
    let towards_client = Pump {
        way: &state.to_client,
        to_client: true,
        ..towards_server
    };
    let now = tokio::select! {
        () = towards_server.run(&mut from_client, &mut to_server) => before,
        () = towards_client.run(&mut from_server, &mut to_client) => before,
        now = async {
            while ends.changed().await.is_ok() && forgotten() {}
            *ends.borrow()
        } => now,
    };
    if now.half_open > before.half_open {
        drop((from_server, to_server));
        // What its client goes on to send is read, and goes nowhere.
        while from_client
            .read(&mut [0; 4096])
            .await
            .is_ok_and(|length| length > 0)
        {}
    } else if now.reset > before.reset {
        for stream in [from_client.as_ref(), from_server.as_ref()] {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Carries one connection's bytes one way.
#[derive(Clone, Copy)]
struct Pump<'a> {
    way: &'a Way,
    state: &'a State,
    number: usize,
    to_client: bool,
}

impl Pump<'_> {
    /// Returns when the connection is to be closed.
    async fn run(self, source: &mut OwnedReadHalf, sink: &mut OwnedWriteHalf) {
        let mut buffer = vec![0; 65536];
        let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let (mut ended, mut torn) = (false, false);
        loop {
            let due = under_way.front().map(|(due, _)| *due);
            tokio::select! {
                read = source.read(&mut buffer), if !ended && under_way.len() < UNDER_WAY => match read {
                    Ok(length @ 1..) => {
                        if !self.take(&buffer[..length], &mut under_way, &mut torn) {
                            return;
                        }
                    }
                    // The other side does not learn that this one has ended.
                    _ if self.forgotten() => return std::future::pending().await,
                    _ => ended = true,
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let Some((_, chunk)) = under_way.pop_front() else { continue };
                    if self.way.hold.load(Relaxed) {
                        self.touch();
                    }
                    while self.way.hold.load(Relaxed) && !self.forgotten() {
                        tokio::time::sleep(TICK).await;
                    }
                    if !self.forgotten() && sink.write_all(&chunk).await.is_err() {
                        return;
                    }
                }
            }
            if ended && under_way.is_empty() {
                return;
            }
        }
    }

    /// Takes a chunk in; false cuts the connection. After one that was dropped or replaced nothing true follows, not even in the moment
    /// before all such connections are cut: an answer would be taken for that of another request.
    fn take(
        self,
        chunk: &[u8],
        under_way: &mut VecDeque<(Instant, Vec<u8>)>,
        torn: &mut bool,
    ) -> bool {
        if self.forgotten() {
            self.touch();
            return true;
        }
        if self.way.lose.swap(false, Relaxed) {
            self.touch();
            return false;
        }
        if self.way.drop.load(Relaxed) {
            self.touch();
            *torn = true;
            return true;
        }
        let instead = self.to_client.then(|| self.state.instead().clone());
        let chunk = if let Some(bytes) = instead.flatten() {
            self.touch();
            *torn = true;
            bytes.to_vec()
        } else if *torn {
            return false;
        } else if self.to_client && self.state.deaf.load(Relaxed) {
            let left = published::without(chunk);
            if left.len() < chunk.len() {
                self.touch();
            }
            left
        } else {
            chunk.to_vec()
        };
        let delay = self.way.delay_ms.load(Relaxed);
        if delay > 0 {
            self.touch();
        }
        under_way.push_back((Instant::now() + Duration::from_millis(delay), chunk));
        true
    }

    fn forgotten(self) -> bool {
        self.number < self.state.forgotten.load(Relaxed)
    }

    fn touch(self) {
        self.state.touched.fetch_add(1, Relaxed);
    }
}
