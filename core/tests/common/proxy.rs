//! A TCP proxy in front of a server that holds back, delays, drops and cuts on request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
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
    /// How many chunks were lost with their connection.
    pub lost: AtomicUsize,
    lose: AtomicBool,
}

impl Direction {
    /// Loses the next chunk, as a connection that breaks in that instant does: it is thrown away and its connection cut.
    pub fn lose_next(&self) {
        self.lose.store(true, SeqCst);
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
    target: SocketAddr,
    to_server: Arc<Direction>,
    to_client: Arc<Direction>,
    refuse: AtomicBool,
    accepted: AtomicUsize,
    open: AtomicUsize,
    cut: watch::Sender<u64>,
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
            target: ([127, 0, 0, 1], port).into(),
            to_server: Arc::default(),
            to_client: Arc::default(),
            refuse: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            cut: watch::Sender::new(0),
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
            way.lose.store(false, SeqCst);
        }
    }

    /// Closes every connection there is.
    pub fn cut(&self) {
        self.state.cut.send_modify(|times| *times += 1);
    }

    /// Closes every connection there is, and each new one at once.
    pub fn refuse(&self) {
        self.state.refuse.store(true, SeqCst);
        self.cut();
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
        self.cut();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.refuse.load(SeqCst) {
            continue;
        }
        state.accepted.fetch_add(1, SeqCst);
        tokio::spawn(pair(client, state.clone()));
    }
}

async fn pair(client: TcpStream, state: Arc<State>) {
    let mut cut = state.cut.subscribe();
    let Ok(server) = TcpStream::connect(state.target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    state.open.fetch_add(1, SeqCst);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &state.to_server) => {}
        () = pump(from_server, to_client, &state.to_client) => {}
        _ = cut.changed() => {}
    }
    state.open.fetch_sub(1, SeqCst);
}

async fn pump(mut source: OwnedReadHalf, mut sink: OwnedWriteHalf, way: &Direction) {
    let mut buffer = vec![0; 65536];
    loop {
        let Ok(length @ 1..) = source.read(&mut buffer).await else {
            return;
        };
        let chunk = &buffer[..length];
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
        if way.hold.load(SeqCst) {
            way.held.fetch_add(1, SeqCst);
            while way.hold.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        if sink.write_all(chunk).await.is_err() {
            return;
        }
    }
}
