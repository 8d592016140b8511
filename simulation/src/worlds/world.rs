//! A world: its clock, its server, its processes, and what is still to happen in it, one thing after the other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::server::{Config, ConnId, Server, Snapshot};
use crate::worlds::chance::Chance;
use crate::worlds::checker::Checker;
use crate::worlds::clients::Member;
use crate::worlds::network::Connection;
use crate::worlds::plan::{Delays, Fault, Plan};
use crate::worlds::process::Process;
use crate::worlds::record::Record;
use crate::worlds::run::Setting;

/// Where the server's clock begins, in µs since 1970.
const SERVER_BEGINS: i64 = 1_790_000_000_000_000;
/// How often all that is to hold is looked at.
const TICK: u64 = 200_000;

/// What may still happen. Connections, processes and faults by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A wish to connect arrives.
    Connect(usize),
    /// The client learns that it is connected.
    Connected(usize),
    /// Something sent to the server arrives.
    Arrives(usize),
    /// Something that the server has said arrives.
    Answers(usize),
    /// That the server has closed a connection arrives.
    Ends(usize),
    /// That the client has closed it arrives.
    Leaves(usize),
    /// The server hears in some other way that a connection has ended.
    HangsUp(usize),
    /// A process goes on.
    GoesOn(usize),
    /// The data is copied to a replica.
    Copied(usize),
    /// A fault begins.
    Begins(usize),
    /// The server is back.
    ServerBack,
    /// What is to hold is looked at.
    Tick,
    /// So is the lease of an operation, shortly before it ends.
    NearlyOver(usize),
}

/// The time of a world: that of its runtime, which stands still but while there is nothing to do.
#[derive(Default)]
pub(crate) struct Time {
    start: OnceLock<Instant>,
    /// µs since the world began.
    now: AtomicU64,
}

impl Time {
    /// The runtime goes on, and some time may have passed.
    pub(crate) fn go_on(&self) {
        let passed = self.start().elapsed().as_micros();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.now.store(passed, Ordering::Relaxed);
    }

    fn start(&self) -> Instant {
        *self.start.get_or_init(Instant::now)
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
}

/// All that changes in a world.
pub(crate) struct State {
    time: Arc<Time>,
    pub(crate) chance: Chance,
    pub(crate) shuffled: u32,
    delays: Delays,
    command_timeout: u64,
    events: BinaryHeap<Reverse<(u64, u64, u64, Event)>>,
    sequence: u64,
    pub(crate) connections: Vec<Connection>,
    pub(crate) processes: Vec<Process>,
    pub(crate) record: Record,
    pub(crate) checker: Checker,
    pub(crate) server: Option<Server>,
    admin: Option<ConnId>,
    /// What is kept while the server is down.
    kept: Option<Snapshot>,
    pub(crate) copies: Vec<(usize, Snapshot)>,
    server_stopped_until: u64,
    clock_offset: i64,
    /// When it was last asked for something, in µs, and how often since.
    asked: (u64, i64),
    /// The number of the connection of each of the server's.
    served: BTreeMap<ConnId, usize>,
    scripts: Option<(String, String)>,
    pub(crate) faults: Vec<Fault>,
    /// How many clients have closed.
    pub(crate) closed: usize,
}

/// A world.
pub(crate) struct World {
    pub(crate) time: Arc<Time>,
    state: Mutex<State>,
    changed: Notify,
    members: Mutex<Vec<Member>>,
}

/// Of the databases there is the one that is used.
fn config(seed: u64) -> Config {
    Config {
        seed,
        databases: 1,
        ..Config::default()
    }
}

impl World {
    pub(crate) fn new(plan: &Plan, setting: &Setting, time: Arc<Time>) -> Arc<Self> {
        let state = State {
            time: time.clone(),
            chance: Chance::new(plan.seed),
            shuffled: plan.shuffled,
            delays: plan.delays,
            command_timeout: plan.command_timeout * 1_000,
            events: BinaryHeap::new(),
            sequence: 0,
            connections: Vec::new(),
            processes: (0..plan.clients).map(|_| Process::default()).collect(),
            record: Record::new(setting.with_steps),
            checker: Checker::new(plan),
            server: Some(Server::new(config(plan.seed))),
            admin: None,
            kept: None,
            copies: Vec::new(),
            server_stopped_until: 0,
            clock_offset: 0,
            asked: (0, 0),
            served: BTreeMap::new(),
            scripts: setting.script.clone(),
            faults: Vec::new(),
            closed: 0,
        };
        Arc::new(Self {
            time,
            state: Mutex::new(state),
            changed: Notify::new(),
            members: Mutex::default(),
        })
    }

    /// The client of a process.
    pub(crate) fn member(&self, process: usize) -> Member {
        self.members()[process].clone()
    }

    pub(crate) fn set_members(&self, members: Vec<Member>) {
        *self.members() = members;
    }

    /// What is left of the clients goes with the runtime.
    pub(crate) fn forget_members(&self) {
        let members = std::mem::take(&mut *self.members());
        drop(members);
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.next_at();
        let result = look(&mut state);
        if state.next_at() < before {
            drop(state);
            self.changed.notify_one();
        }
        result
    }

    /// Has things happen, one by one, until `is_over` says so.
    pub(crate) async fn go_on(self: &Arc<Self>, mut is_over: impl FnMut(&mut State) -> bool) {
        let mut timer = pin!(tokio::time::sleep_until(self.time.start()));
        loop {
            let next = self.with(|state| {
                if is_over(state) || state.record.is_violated() {
                    return None;
                }
                Some(state.next_at())
            });
            let Some(next) = next else { return };
            let due = self.lock().take_due();
            if let Some(event) = due {
                self.happen(event);
                tokio::task::yield_now().await;
                continue;
            }
            let until = self.lock().instant(next);
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = timer.as_mut() => {}
            }
        }
    }

    fn happen(self: &Arc<Self>, event: Event) {
        if let Event::Begins(fault) = event {
            crate::worlds::faults::begin(self, fault);
            return;
        }
        self.with(|state| match event {
            Event::Connect(number) => state.on_connect(number),
            Event::Connected(number) => state.on_connected(number),
            Event::Arrives(number) => state.on_arrives(number),
            Event::Answers(number) => state.on_answers(number),
            Event::Ends(number) => state.on_ends(number),
            Event::Leaves(number) => state.on_leaves(number),
            Event::HangsUp(number) => state.hang_up(number),
            Event::GoesOn(process) => state.go_on(process),
            Event::Copied(fault) => {
                if let Some(copy) = state.snapshot() {
                    state.copies.push((fault, copy));
                }
            }
            Event::ServerBack => state.bring_back(),
            Event::Tick => {
                let at = state.now() + TICK;
                state.schedule(at, Event::Tick);
                state.tick();
                state.look();
            }
            Event::NearlyOver(_) => state.look_at_leases(),
            Event::Begins(_) => {}
        });
    }
}

impl State {
    // ---- time

    /// µs since the world began.
    pub(crate) fn now(&self) -> u64 {
        self.time.now()
    }

    pub(crate) fn instant(&self, at: u64) -> Instant {
        self.time.start() + Duration::from_micros(at)
    }

    /// How long what was sent may be under way, as the clients rely on.
    pub(crate) fn lasts(&self) -> u64 {
        self.command_timeout
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        let tie = self.chance.of(0..=u64::MAX);
        self.sequence += 1;
        self.events.push(Reverse((at, tie, self.sequence, event)));
    }

    fn next_at(&self) -> u64 {
        self.events.peek().map_or(u64::MAX / 2, |next| next.0.0)
    }

    fn take_due(&mut self) -> Option<Event> {
        if self.next_at() > self.now() {
            return None;
        }
        self.events.pop().map(|next| next.0.3)
    }

    /// How long a message takes, in µs.
    pub(crate) fn delay(&mut self) -> u64 {
        1_000
            * match self.delays {
                Delays::None => 0,
                Delays::Short => self.chance.pick(&[0, 0, 1, 1, 2]),
                Delays::Long if self.chance.once_in(40) => 200,
                Delays::Long => self.chance.of(0..=40),
                Delays::Distant => self.chance.of(200..=230),
            }
    }

    // ---- processes

    fn go_on(&mut self, process: usize) {
        let now = self.now();
        let process = &mut self.processes[process];
        if process.stopped_until <= now {
            for waker in process.held_back.drain(..) {
                waker.wake();
            }
        }
    }

    /// A process is stopped until `until`.
    pub(crate) fn stop(&mut self, process: usize, until: u64) {
        let stopped = &mut self.processes[process].stopped_until;
        *stopped = until.max(*stopped);
        self.schedule(until, Event::GoesOn(process));
    }

    /// Something goes wrong for a process, from which it has recovered `within` µs from `from`.
    pub(crate) fn disturb(&mut self, process: usize, from: u64, within: u64) {
        let process = &mut self.processes[process];
        process.well_from = process.well_from.max(from + within);
    }

    /// Nobody is woken any more.
    pub(crate) fn forget_wakers(&mut self) {
        for process in &mut self.processes {
            process.held_back.clear();
        }
        for connection in &mut self.connections {
            connection.forget_waker();
        }
    }

    // ---- the server

    /// How much it has written so far.
    pub(crate) fn offset(&self) -> Option<u64> {
        self.server.as_ref().map(Server::offset)
    }

    /// What its clock shows, in µs.
    pub(crate) fn server_clock(&self) -> i64 {
        SERVER_BEGINS
            + i64::try_from(self.now()).unwrap_or(i64::MAX / 2)
            + self.clock_offset
            + self.asked.1
    }

    /// Whatever the server does takes some µs, more than it can count tokens: the world's own clock goes by whole ms.
    fn take_time(&mut self) {
        let now = self.now();
        let before = if self.asked.0 == now { self.asked.1 } else { 0 };
        self.asked = (now, (before + 10).min(990));
    }

    pub(crate) fn set_clock(&mut self, by: i64) {
        self.clock_offset += by;
    }

    pub(crate) fn is_down(&self) -> bool {
        self.server.is_none()
    }

    pub(crate) fn stopped_until(&self) -> u64 {
        self.server_stopped_until
    }

    pub(crate) fn stop_server(&mut self, until: u64) {
        self.server_stopped_until = self.server_stopped_until.max(until);
    }

    /// Has the server accept a connection.
    pub(crate) fn accept(&mut self, number: usize) -> ConnId {
        let server = self.server.as_mut().expect("a server");
        let id = server.connect();
        self.served.insert(id, number);
        id
    }

    /// A connection's bytes arrive, and the server answers, also others.
    pub(crate) fn feed(&mut self, at_server: ConnId, bytes: &[u8]) {
        self.take_time();
        let clock = self.server_clock();
        let replaced;
        let bytes = match &self.scripts {
            Some(scripts) => {
                replaced = crate::worlds::scripts::replaced(bytes, scripts);
                &replaced[..]
            }
            None => bytes,
        };
        let Some(server) = &mut self.server else {
            return;
        };
        server.feed(at_server, bytes, clock);
        self.pass_on();
        self.look_at_truth();
    }

    /// What the server has to say goes out.
    pub(crate) fn pass_on(&mut self) {
        let Some(server) = &self.server else {
            return;
        };
        for at_server in server.connections_with_output() {
            let (Some(server), Some(&number)) = (&mut self.server, self.served.get(&at_server))
            else {
                continue;
            };
            let said = server.output(at_server);
            let is_over = !server.is_connected(at_server);
            if !said.is_empty() {
                self.answer(number, said);
            }
            if is_over {
                self.end(number);
            }
        }
    }

    /// The server's time goes on by itself.
    fn tick(&mut self) {
        let clock = self.server_clock();
        if let Some(server) = &mut self.server {
            server.tick(clock);
            self.pass_on();
        }
    }

    /// The server hears that a connection has ended.
    pub(crate) fn hang_up(&mut self, number: usize) {
        let Some(at_server) = self.connections[number].at_server.take() else {
            return;
        };
        if let Some(server) = &mut self.server {
            server.disconnect(at_server);
        }
        self.pass_on();
    }

    /// Has the server carry out a command, and gives its answer.
    pub(crate) fn command(&mut self, words: &[&str]) -> Vec<u8> {
        let clock = self.server_clock();
        let Some(server) = &mut self.server else {
            return Vec::new();
        };
        let admin = *self.admin.get_or_insert_with(|| server.connect());
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            let _ = write!(request, "${}\r\n{word}\r\n", word.len());
        }
        server.feed(admin, request.as_bytes(), clock);
        server.output(admin)
    }

    fn snapshot(&mut self) -> Option<Snapshot> {
        Some(self.server.as_ref()?.snapshot())
    }

    /// The server ends; with `keeps` it comes back with that data.
    pub(crate) fn take_down(&mut self, keeps: Option<Snapshot>, back_at: u64) {
        self.server = None;
        self.served.clear();
        self.admin = None;
        self.kept = keeps;
        for number in 0..self.connections.len() {
            if self.connections[number].at_server.is_some() {
                self.end(number);
            }
        }
        self.schedule(back_at, Event::ServerBack);
    }

    /// What the server has now, as it would have it on its disk.
    pub(crate) fn saved(&mut self) -> Option<Snapshot> {
        self.snapshot().map(Snapshot::without_scripts)
    }

    fn bring_back(&mut self) {
        if self.server.is_some() {
            return;
        }
        let config = config(self.chance.of(0..=u64::MAX));
        self.server = Some(match self.kept.take() {
            Some(kept) => Server::from_snapshot(config, &kept),
            None => Server::new(config),
        });
        for truth in &mut self.checker.truth {
            truth.line.begin_anew();
        }
    }
}
