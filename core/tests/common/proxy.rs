//! A TCP proxy in front of a server that holds back, delays, drops, forgets and cuts on request.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the bytes of every connection in one direction.
#[derive(Default)]
pub struct Direction {
    /// Bytes wait until this is false again.
    pub hold: AtomicBool,
    /// How many chunks have had to.
    pub held: AtomicUsize,
    /// Bytes are thrown away.
    pub drop: AtomicBool,
    /// Bytes arrive this many milliseconds late.
    pub delay_ms: AtomicU64,
    /// Bytes arrive one by one, so many milliseconds apart.
    pub drip_ms: AtomicU64,
    /// How many chunks were lost with their connection.
    pub lost: AtomicUsize,
    lose: AtomicBool,
    /// What went by, where that is asked for.
    seen: Mutex<Option<Vec<u8>>>,
}

impl Direction {
    /// Loses the next chunk, as a connection that breaks in that instant does: it is thrown away and its connection cut.
    pub fn lose_next(&self) {
        self.lose.store(true, SeqCst);
    }

    /// Keeps what goes by from now on, of all connections.
    pub fn listen(&self) {
        *self.seen.lock().unwrap() = Some(Vec::new());
    }

    /// What went by since the last call, or since it was asked for.
    pub fn seen(&self) -> Vec<u8> {
        let mut seen = self.seen.lock().unwrap();
        seen.replace(Vec::new()).unwrap_or_default()
    }

    fn loses(&self) -> bool {
        let loses = self.lose.swap(false, SeqCst);
        if loses {
            self.lost.fetch_add(1, SeqCst);
        }
        loses
    }
}

struct State {
    target: AtomicU16,
    to_server: Arc<Direction>,
    to_client: Arc<Direction>,
    refuse: AtomicBool,
    refused: AtomicUsize,
    accepted: AtomicUsize,
    /// The numbers of the connections whose bytes to the server wait.
    held_back: Mutex<HashSet<usize>>,
    /// So many connections, the first ones, are forgotten.
    forgotten: AtomicUsize,
    open: AtomicUsize,
    /// What is closed is reset.
    resets: AtomicBool,
    cut: watch::Sender<u64>,
    end: watch::Sender<bool>,
}

/// The proxy; dropped, it closes every connection.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port in front of the server on `port`.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let state = Arc::new(State {
            target: port.into(),
            to_server: Arc::default(),
            to_client: Arc::default(),
            refuse: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            held_back: Mutex::default(),
            forgotten: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            resets: AtomicBool::new(false),
            cut: watch::Sender::new(0),
            end: watch::Sender::new(false),
        });
        Self {
            port: listener.local_addr().expect("its address").port(),
            task: tokio::spawn(accept(listener, state.clone())),
            state,
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn to_server(&self) -> &Direction {
        &self.state.to_server
    }

    pub fn to_client(&self) -> &Direction {
        &self.state.to_client
    }

    /// Nothing gets through either way, and connections stay open.
    pub fn black_hole(&self) {
        self.to_server().hold.store(true, SeqCst);
        self.to_client().hold.store(true, SeqCst);
    }

    /// Passes everything on again, first of all what was held back. Connections that lost bytes are cut: no network
    /// loses a part of a stream and goes on with it.
    pub fn heal(&self) {
        self.state.refuse.store(false, SeqCst);
        for way in [self.to_server(), self.to_client()] {
            way.hold.store(false, SeqCst);
            if way.drop.swap(false, SeqCst) {
                self.cut();
            }
            way.delay_ms.store(0, SeqCst);
            way.drip_ms.store(0, SeqCst);
            way.lose.store(false, SeqCst);
        }
    }

    /// What one connection sends to the server waits in the network until it is [let through](Self::let_through), also
    /// where its client has gone meanwhile. `number` counts from 0, in the order in which they are accepted.
    pub fn hold_back(&self, number: usize) {
        self.state.held_back.lock().unwrap().insert(number);
    }

    /// What that connection has sent arrives now.
    pub fn let_through(&self, number: usize) {
        self.state.held_back.lock().unwrap().remove(&number);
    }

    /// Closes every connection there is. Forgotten ones hear nothing of it.
    pub fn cut(&self) {
        self.state.cut.send_modify(|times| *times += 1);
    }

    /// The same by a reset; from now on whatever is closed is.
    pub fn reset(&self) {
        self.state.resets.store(true, SeqCst);
        self.cut();
    }

    /// Forgets every connection there is, as a NAT or a balancer does: from now on they carry nothing either way, not
    /// even an end, and stay open. New ones work.
    pub fn forget(&self) {
        self.state.forgotten.store(self.accepted(), SeqCst);
    }

    /// New connections go to the server on `port`; those that are there stay where they are.
    pub fn redirect(&self, port: u16) {
        self.state.target.store(port, SeqCst);
    }

    /// Closes every connection there is, and each new one at once.
    pub fn refuse(&self) {
        self.state.refuse.store(true, SeqCst);
        self.cut();
    }

    /// Closes each new connection at once; those that are there go on.
    pub fn refuse_new(&self) {
        self.state.refuse.store(true, SeqCst);
    }

    /// How many connections it has closed at once.
    pub fn refused(&self) -> usize {
        self.state.refused.load(SeqCst)
    }

    /// How many connections it has taken in all.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.state.open.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.state.end.send_replace(true);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.refuse.load(SeqCst) {
            state.refused.fetch_add(1, SeqCst);
            continue;
        }
        let number = state.accepted.fetch_add(1, SeqCst);
        tokio::spawn(pair(client, number, state.clone()));
    }
}

async fn pair(client: TcpStream, number: usize, state: Arc<State>) {
    let (mut cut, mut end) = (state.cut.subscribe(), state.end.subscribe());
    let target = ("127.0.0.1", state.target.load(SeqCst));
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let forgotten = || number < state.forgotten.load(SeqCst);
    let holds_back = || state.held_back.lock().unwrap().contains(&number);
    state.open.fetch_add(1, SeqCst);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        () = pump(&mut from_client, &mut to_server, &state.to_server, holds_back, forgotten) => {}
        () = pump(&mut from_server, &mut to_client, &state.to_client, || false, forgotten) => {}
        () = async {
            while cut.changed().await.is_ok() && forgotten() {}
        } => {}
        _ = end.wait_for(|ended| *ended) => {}
    }
    if state.resets.load(SeqCst) {
        // Closed with no time to linger, and without an end before, it is reset.
        let linger = Some(Duration::ZERO);
        let _ = socket2::SockRef::from(to_client.as_ref()).set_linger(linger);
        to_client.forget();
    }
    state.open.fetch_sub(1, SeqCst);
}

async fn pump(
    source: &mut OwnedReadHalf,
    sink: &mut OwnedWriteHalf,
    way: &Direction,
    holds_back: impl Fn() -> bool,
    forgotten: impl Fn() -> bool,
) {
    let mut buffer = vec![0; 65536];
    loop {
        let read = source.read(&mut buffer).await;
        if forgotten() {
            match read {
                Ok(1..) => continue,
                // Nor does the other side learn that this one has ended.
                _ => return std::future::pending().await,
            }
        }
        let Ok(length @ 1..) = read else {
            return;
        };
        let chunk = &buffer[..length];
        if let Some(seen) = &mut *way.seen.lock().unwrap() {
            seen.extend_from_slice(chunk);
        }
        if way.loses() {
            return;
        }
        if way.drop.load(SeqCst) {
            continue;
        }
        let delay = way.delay_ms.load(SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let holds = || way.hold.load(SeqCst) || holds_back();
        if holds() {
            way.held.fetch_add(1, SeqCst);
            while holds() && !forgotten() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let drip = way.drip_ms.load(SeqCst);
        let (dripping, chunk) = chunk.split_at(if drip > 0 { length } else { 0 });
        for byte in dripping {
            tokio::time::sleep(Duration::from_millis(drip)).await;
            if forgotten() || sink.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
        if !forgotten() && sink.write_all(chunk).await.is_err() {
            return;
        }
    }
}
