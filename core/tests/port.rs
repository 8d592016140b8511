//! The connection that an event loop drives, driven here by a loop that only waits a little.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::proxy::Proxy;
use common::{Server, fresh, ms, until};
use leaselock::port::{Begin, Done, Port};
use leaselock::{
    AcquireOptions, Client, ErrorKind, GroupRequest, Lease, LeaseGroup, Request, Unit,
};

fn request(name: &str, wait: Option<Duration>) -> Request {
    let options = AcquireOptions {
        wait,
        ttl: ms(2_000),
        ..AcquireOptions::default()
    };
    Request::new(name, options, Unit::Seconds).unwrap()
}

fn client(url: &str) -> Client {
    Client::builder()
        .url(url)
        .app_id(fresh())
        .command_timeout(ms(800))
        .runtime(tokio::runtime::Handle::current())
        .build()
        .unwrap()
}

async fn connect(port: &mut Port<u64>, client: &Client) {
    let start = Instant::now();
    while !port.connect(client) {
        assert!(start.elapsed() < ms(3_000), "no connection");
        tokio::time::sleep(ms(2)).await;
    }
}

/// An event loop: it does what its port wants, and remembers what has ended, by the number that an operation was begun
/// with.
struct Loop {
    port: Port<u64>,
    done: HashMap<u64, Done>,
    /// What a loop is asked for.
    turn: bool,
    writable: bool,
    timer: Option<Instant>,
    watches: usize,
    timers: usize,
}

impl Loop {
    /// A loop whose port has a connection.
    async fn connected(client: &Client) -> Self {
        let mut this = Self::new();
        connect(&mut this.port, client).await;
        this
    }

    fn new() -> Self {
        Self {
            port: Port::default(),
            done: HashMap::new(),
            turn: false,
            writable: false,
            timer: None,
            watches: 0,
            timers: 0,
        }
    }

    fn acquire(&mut self, client: &Client, id: u64, request: Request, once: bool) {
        match self.port.acquire(client, request, once, |_| id).unwrap() {
            Begin::UnderWay(_) => {}
            Begin::Done(id, done) => drop(self.done.insert(id, done)),
            Begin::Elsewhere(_) => panic!("there is a connection"),
        }
        self.arrange();
    }

    fn release(&mut self, id: u64, lease: &Arc<Lease>) {
        match self.port.release(lease, |_| id) {
            Begin::UnderWay(_) => {}
            Begin::Done(id, done) => drop(self.done.insert(id, done)),
            Begin::Elsewhere(()) => panic!("there is a connection"),
        }
        self.arrange();
    }

    fn arrange(&mut self) {
        let wants = self.port.wants();
        self.watches += usize::from(wants.watch);
        self.turn |= wants.turn;
        self.writable = wants.writable.unwrap_or(self.writable);
        if let Some(after) = wants.timer {
            self.timers += 1;
            let at = Instant::now() + after;
            self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
        }
    }

    /// One turn of the loop.
    fn turn(&mut self) {
        if std::mem::take(&mut self.turn) || self.writable {
            self.port.on_turn();
        }
        let mut ended = self.port.on_ready();
        if self.timer.is_some_and(|at| at <= Instant::now()) {
            self.timer = None;
            ended.extend(self.port.on_time());
        }
        self.done.extend(ended);
        self.arrange();
    }

    /// Turns until `count` operations have ended here or been handed on.
    async fn ended(&mut self, count: usize) {
        let start = Instant::now();
        while self.done.len() < count {
            self.turn();
            let (is, elapsed) = (self.done.len(), start.elapsed());
            assert!(elapsed < ms(5_000), "{is} of {count}");
            tokio::time::sleep(ms(1)).await;
        }
    }

    async fn lease(&mut self, id: u64) -> Lease {
        match self.done.remove(&id).expect("an end") {
            Done::Acquired(result) => result.unwrap().expect("acquired"),
            Done::Acquiring(later) => later.await.unwrap().expect("acquired"),
            _ => panic!("not an acquire"),
        }
    }

    async fn released(&mut self, id: u64) -> bool {
        match self.done.remove(&id).expect("an end") {
            Done::Released(result) => result.unwrap(),
            Done::Releasing(later) => later.await.unwrap(),
            _ => panic!("not a release"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_opened_when_there_is_reason_to() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut port = Port::default();
        assert!(!port.connect(&client), "one acquire needs none");
        tokio::time::sleep(ms(100)).await;
        assert_eq!(server.int(&["DBSIZE"]), 0, "nothing was asked yet");
        assert!(!port.connect(&client), "the second begins to open it");
        connect(&mut port, &client).await;
        let wants = port.wants();
        assert!(wants.watch && wants.timer.is_none() && !wants.turn);
        assert!(!port.wants().watch, "said once");

        // Closed with nothing under way it ends at once, and is watched until it is dropped.
        port.close();
        let ended = port.wants().ended;
        assert!(ended.is_some() && port.is_over());
        assert!(!port.connect(&client));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_together_is_written_together() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        event_loop.acquire(&client, 0, request("first", None), true);
        assert!(!event_loop.turn, "alone, it is written at once");
        for id in 1..5 {
            event_loop.acquire(&client, id, request(&format!("n{id}"), None), true);
        }
        assert!(event_loop.turn, "the others at the end of the turn");
        event_loop.ended(5).await;
        assert_eq!(event_loop.watches, 1);
        assert_eq!(event_loop.timers, 1, "one timer for all");
        assert!(!event_loop.port.is_awaited());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_acquired_and_released_in_order() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        let mut tokens = Vec::new();
        for round in 0..3 {
            for id in 0..64 {
                event_loop.acquire(&client, id, request(&format!("n{id}"), None), false);
            }
            event_loop.ended(64).await;
            let mut leases = Vec::new();
            for id in 0..64 {
                let lease = Arc::new(event_loop.lease(id).await);
                assert!(lease.held());
                tokens.push(lease.token());
                leases.push(lease);
            }
            for (id, lease) in leases.iter().enumerate() {
                event_loop.release(100 + id as u64, lease);
            }
            event_loop.ended(64).await;
            for id in 100..164 {
                assert!(event_loop.released(id).await, "round {round}");
            }
            assert!(!event_loop.port.is_awaited());
        }
        assert!(tokens.is_sorted(), "tokens grow in the order of asking");
        assert_eq!(server.int(&["DBSIZE"]), 1, "only the counter is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_name_is_waited_for_elsewhere() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        let holder = client.acquire("res").await.unwrap();
        event_loop.acquire(&client, 1, request("res", None), true);
        event_loop.acquire(&client, 2, request("res", Some(ms(3_000))), false);
        event_loop.acquire(&client, 3, request("res", None), false);
        event_loop.acquire(&client, 4, request("res", Some(Duration::ZERO)), false);
        event_loop.ended(4).await;
        let done = &mut event_loop.done;
        assert!(matches!(done.remove(&1), Some(Done::Acquired(Ok(None)))));
        let Some(Done::Acquired(Err(error))) = done.remove(&4) else {
            panic!("its wait is zero");
        };
        assert_eq!(error.kind(), ErrorKind::LockTimeout);
        let mut last = holder;
        for id in [2, 3] {
            let waiter = waits(&client, done.remove(&id)).await;
            assert!(last.release().await.unwrap());
            let next = waiter.await.unwrap().unwrap().expect("acquired");
            assert!(next.token() > last.token());
            last = next;
        }
        assert_eq!(client.stats().waiting, 0);
        assert!(last.release().await.unwrap());
    }
}

/// Runs what goes on elsewhere until it is in the queue.
async fn waits(
    client: &Client,
    done: Option<Done>,
) -> tokio::task::JoinHandle<leaselock::Result<Option<Lease>>> {
    let Some(Done::Acquiring(later)) = done else {
        panic!("it goes on waiting");
    };
    let waiter = tokio::spawn(later);
    let queued = || async { client.inspect("res").await.unwrap().unwrap().waiters == 1 };
    until("it is in the queue", ms(3_000), queued).await;
    waiter
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_on_a_broken_connection_goes_on_or_is_undone() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client(&proxy.url());
        let mut event_loop = Loop::connected(&client).await;
        let held = Arc::new(client.acquire("held").await.unwrap());

        // The replies are lost with the connection, after the commands were carried out.
        proxy.to_client().lose_next();
        event_loop.acquire(&client, 1, request("res", None), true);
        event_loop.release(2, &held);
        event_loop.ended(2).await;
        assert!(event_loop.port.descriptor().is_none(), "it has ended");
        let taken = event_loop.lease(1).await;
        assert!(taken.held(), "the retry finds its own lock");
        assert!(event_loop.released(2).await, "its own release");

        // It is opened again, a second later at the soonest.
        assert!(!event_loop.port.connect(&client));
        tokio::time::sleep(ms(1_050)).await;

        // A port dropped with work under way undoes it.
        let mut event_loop = Loop::connected(&client).await;
        event_loop.acquire(&client, 1, request("dropped", None), true);
        drop(event_loop);
        drop(taken);
        tokio::time::sleep(ms(300)).await;
        client.settled().await;
        assert!(client.inspect("dropped").await.unwrap().is_none());
        assert!(client.inspect("res").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_silent_server_ends_within_the_command_timeout() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        server.pause();
        let start = Instant::now();
        event_loop.acquire(&client, 1, request("res", None), true);
        event_loop.ended(1).await;
        assert!(event_loop.port.descriptor().is_none(), "it has ended");
        assert!(start.elapsed() < ms(1_500), "{:?}", start.elapsed());
        let Some(Done::Acquiring(later)) = event_loop.done.remove(&1) else {
            panic!("it is tried again elsewhere");
        };
        drop(later);
        server.resume();
        tokio::time::sleep(ms(1_500)).await;
        client.settled().await;
        assert!(client.inspect("res").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_connection_where_the_server_is_not() {
    let client = client("redis://127.0.0.1:1");
    let mut port = Port::<()>::default();
    for _ in 0..20 {
        assert!(!port.connect(&client));
        tokio::time::sleep(ms(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_wait_on_a_silent_connection_is_given_up_and_undone() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        server.pause();
        let start = Instant::now();
        event_loop.acquire(&client, 1, request("res", Some(ms(300))), false);
        let due = event_loop.timer.expect("a short wait");
        assert!(due - start <= ms(302), "{:?}", due - start);
        event_loop.ended(1).await;
        let Some(Done::Acquiring(later)) = event_loop.done.remove(&1) else {
            panic!("it has the time for one more answer");
        };
        let error = later.await.map(drop).expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        assert!(start.elapsed() < ms(600), "{:?}", start.elapsed());
        server.resume();
        tokio::time::sleep(ms(300)).await;
        event_loop.turn();
        client.settled().await;
        assert!(client.inspect("res").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_ends_although_no_wait_on_it_was_as_long() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client(&proxy.url());
        let mut event_loop = Loop::connected(&client).await;
        proxy.hold_back(proxy.accepted() - 1);
        for id in 1..=2 {
            let name = format!("n{id}");
            event_loop.acquire(&client, id, request(&name, Some(ms(300))), false);
            event_loop.ended(1).await;
            // Nobody waits for it any more.
            event_loop.done.clear();
        }
        let start = Instant::now();
        while event_loop.port.descriptor().is_some() {
            event_loop.turn();
            let elapsed = start.elapsed();
            assert!(elapsed < ms(3_000), "still connected after {elapsed:?}");
            tokio::time::sleep(ms(1)).await;
        }
        // One for each wait, and for the end, and again where one was early.
        let timers = event_loop.timers;
        assert!(timers <= 8, "{timers} timers asked for");
        for number in 0..proxy.accepted() {
            proxy.let_through(number);
        }
        tokio::time::sleep(ms(300)).await;
        client.settled().await;
        for name in ["n1", "n2"] {
            assert!(client.inspect(name).await.unwrap().is_none(), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_given_back() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        let options = AcquireOptions {
            min_hold: Some(ms(60_000)),
            ..AcquireOptions::default()
        };
        let request = Request::new("res", options, Unit::Seconds).unwrap();
        let begun = event_loop.port.acquire(&client, request, true, |id| id);
        let Ok(Begin::UnderWay(id)) = begun else {
            panic!("it is under way");
        };
        let (waiter, over) = event_loop.port.abandon(id).expect("under way");
        assert_eq!(waiter, id);
        assert!(!event_loop.port.is_awaited());
        assert!(event_loop.port.abandon(id).is_none(), "once");
        event_loop.port.close();
        assert!(!event_loop.port.is_over(), "something is under way");
        while !event_loop.port.is_over() {
            event_loop.turn();
            assert!(event_loop.done.is_empty(), "nobody is told");
            tokio::time::sleep(ms(1)).await;
        }
        over.await.expect("told when it is known");
        client.settled().await;
        assert!(client.inspect("res").await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_own_waiters_an_acquire_goes_to_the_queue_at_once() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        let holder = client.acquire("res").await.unwrap();
        let waiting = client.clone();
        let first = tokio::spawn(async move { waiting.acquire("res").await });
        while client.inspect("res").await.unwrap().unwrap().waiters == 0 {
            tokio::time::sleep(ms(5)).await;
        }
        event_loop.acquire(&client, 1, request("res", None), false);
        let Some(Done::Acquiring(second)) = event_loop.done.remove(&1) else {
            panic!("it goes to the queue");
        };
        let second = tokio::spawn(second);
        assert!(holder.release().await.unwrap());
        let first = first.await.unwrap().unwrap();
        assert!(first.release().await.unwrap());
        let second = second.await.unwrap().unwrap().expect("acquired");
        assert!(second.token() > first.token());
    }
}

fn group(names: &[&str], wait: Option<Duration>) -> GroupRequest {
    let options = AcquireOptions {
        wait,
        ttl: ms(2_000),
        ..AcquireOptions::default()
    };
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    GroupRequest::new(names, &options, Unit::Seconds).unwrap()
}

impl Loop {
    /// Begins a group's acquire, turns until it has come to something, and waits for its end.
    async fn acquire_all(
        &mut self,
        client: &Client,
        request: GroupRequest,
        once: bool,
    ) -> leaselock::Result<Option<Arc<LeaseGroup>>> {
        match self.port.acquire_all(client, request, once, |_| 7).unwrap() {
            Begin::UnderWay(_) => {}
            Begin::Done(id, done) => drop(self.done.insert(id, done)),
            Begin::Elsewhere(_) => panic!("there is a connection"),
        }
        self.arrange();
        self.ended(1).await;
        let group = match self.done.remove(&7).expect("an end") {
            Done::AcquiredAll(result) => result,
            Done::AcquiringAll(later) => later.await,
            _ => panic!("not an acquire of several"),
        };
        Ok(group?.map(Arc::new))
    }

    async fn release_all(&mut self, group: &Arc<LeaseGroup>) -> bool {
        match self.port.release_all(group, |_| 8) {
            Begin::UnderWay(_) => {}
            Begin::Done(id, done) => drop(self.done.insert(id, done)),
            Begin::Elsewhere(()) => panic!("there is a connection"),
        }
        self.arrange();
        self.ended(1).await;
        self.released(8).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_are_acquired_and_released_together() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        let names = group(&["c", "a", "b", "a"], None);
        let all = event_loop.acquire_all(&client, names, false).await;
        let all = all.unwrap().expect("all are free");
        assert_eq!(all.names().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(all.held() && !event_loop.port.is_awaited());
        assert!(client.inspect("b").await.unwrap().is_some());
        assert!(event_loop.release_all(&all).await);
        assert!(event_loop.release_all(&all).await, "known from then on");
        for name in ["a", "b", "c"] {
            assert!(client.inspect(name).await.unwrap().is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_of_which_one_is_held_are_none_or_waited_for() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        let held = client.acquire("b").await.unwrap();
        let tried = event_loop
            .acquire_all(&client, group(&["a", "b", "c"], None), true)
            .await;
        assert!(tried.unwrap().is_none());
        let at_once = group(&["a", "b", "c"], Some(Duration::ZERO));
        let error = event_loop.acquire_all(&client, at_once, false).await;
        assert_eq!(
            error.err().map(|it| it.kind()),
            Some(ErrorKind::LockTimeout)
        );
        for name in ["a", "c"] {
            assert!(client.inspect(name).await.unwrap().is_none(), "given back");
        }
        let waiting = event_loop.acquire_all(&client, group(&["a", "b", "c"], None), false);
        let releasing = async {
            tokio::time::sleep(ms(100)).await;
            held.release().await
        };
        let (all, released) = tokio::join!(waiting, releasing);
        assert!(released.unwrap() && all.unwrap().expect("acquired").held());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_on_a_connection_that_breaks_are_acquired_and_released_all_the_same() {
    for server in Server::each(&[]) {
        let proxy = Proxy::start(server.port).await;
        let client = client(&proxy.url());
        let mut event_loop = Loop::connected(&client).await;
        proxy.to_client().lose_next();
        let all = event_loop
            .acquire_all(&client, group(&["a", "b", "c"], None), true)
            .await;
        let all = all.unwrap().expect("the retries find their own locks");
        tokio::time::sleep(ms(1_050)).await;
        connect(&mut event_loop.port, &client).await;
        event_loop.arrange();
        proxy.to_client().lose_next();
        assert!(event_loop.release_all(&all).await, "its own releases");
        for name in ["a", "b", "c"] {
            assert!(client.inspect(name).await.unwrap().is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_nobody_waits_for_are_given_back() {
    for server in Server::each(&[]) {
        let client = client(&server.url());
        let mut event_loop = Loop::connected(&client).await;
        let options = AcquireOptions {
            min_hold: Some(ms(60_000)),
            ..AcquireOptions::default()
        };
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let names = GroupRequest::new(names, &options, Unit::Seconds).unwrap();
        let begun = event_loop.port.acquire_all(&client, names, false, |id| id);
        let Ok(Begin::UnderWay(id)) = begun else {
            panic!("it is under way");
        };
        let (waiter, over) = event_loop.port.abandon(id).expect("under way");
        assert_eq!(waiter, id);
        assert!(!event_loop.port.is_awaited());
        event_loop.port.close();
        while !event_loop.port.is_over() {
            event_loop.turn();
            assert!(event_loop.done.is_empty(), "nobody is told");
            tokio::time::sleep(ms(1)).await;
        }
        over.await.expect("told when it is known");
        client.settled().await;
        for name in ["a", "b", "c"] {
            assert!(client.inspect(name).await.unwrap().is_none());
        }
    }
}
