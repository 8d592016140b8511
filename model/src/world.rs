//! The whole system in one state, what can happen in it, and what then becomes of it.

use arrayvec::ArrayVec;
use stateright::{Model, Property};

use crate::client::{Client, Life};
use crate::config::{Bug, Config, EXCLUSIVE, Faults};
use crate::ghost::Ghost;
use crate::network::{Forcing, Link};
use crate::properties;
use crate::server::{Arrivals, Clock, SEEDED, Server};
use crate::task::Ask;
use crate::undo::JobKind;

/// Clients, at most.
const CLIENTS: usize = 3;

/// One state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The server that clients talk to.
    pub(crate) server: Server,
    /// A replica that hears no more writes.
    pub(crate) replica: Option<Server>,
    /// The server's clock.
    pub(crate) clock: Clock,
    /// Scores of the queue.
    pub(crate) arrivals: Arrivals,
    /// The clients.
    pub(crate) clients: ArrayVec<Client, CLIENTS>,
    /// The server's end of each client's connection.
    pub(crate) links: ArrayVec<Link, CLIENTS>,
    /// What properties ask about.
    pub(crate) ghost: Ghost,
    /// Somebody releases by force.
    pub(crate) forcing: Option<Forcing>,
    /// What may still happen.
    pub(crate) faults: Faults,
}

/// One thing that happens. Numbers are those of a client, and of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time passes.
    Tick,
    /// A task begins to acquire: waiting or trying once, by a take or by a wait.
    Begin(usize, usize, bool, Ask),
    /// The server carries out a client's next command.
    Execute(usize),
    /// The client reads what came first.
    Deliver(usize),
    /// It reads a grant that could begin a lease, and claims all the same.
    Claim(usize),
    /// A waiter looks, since its time has come.
    Look(usize, usize),
    /// An acquire is cancelled, or its wait runs out.
    Cancel(usize, usize),
    /// The keeper renews.
    Renew(usize, usize),
    /// The user extends, to so many ticks.
    Extend(usize, usize, u8),
    /// A renewal was not answered in time.
    RenewalTimesOut(usize, usize),
    /// The user gives the lease back.
    Release(usize, usize),
    /// A lease is noticed to be past its deadline.
    NoticeLoss(usize, usize),
    /// A release is sent once more.
    Again(usize, usize),
    /// A waiter is not polled any more.
    Stall(usize, usize),
    /// The client is stopped.
    Pause(usize),
    /// It goes on.
    Resume(usize),
    /// It is killed.
    Kill(usize),
    /// The client gives its connection up.
    Drop(usize),
    /// The server closes the connection.
    Close(usize),
    /// The server reads the next command of a connection that the client has given up.
    ExecuteLate(usize),
    /// The rest on that connection never arrives.
    LoseLate(usize),
    /// The server notices that a client's old connection is gone.
    NoticeGone(usize),
    /// An inbox message is lost.
    LoseMessage(usize),
    /// Somebody who is to release by force looks who holds the lock.
    Meet,
    /// The release by force is carried out, by the owner that was met.
    Force,
    /// It was answered, or what was sent of it never arrives.
    GiveUpForce,
    /// Another application takes the lock.
    StrangerTakes,
    /// It gives it back, and tells nobody.
    StrangerReleases,
    /// All data is removed.
    Flush,
    /// The queue alone is removed.
    LoseQueue,
    /// The lock alone is.
    LoseLock,
    /// The holders of a shared lock alone are.
    LoseHolders,
    /// The server restarts empty.
    Restart,
    /// A replica stops hearing of writes.
    ReplicaStops,
    /// It takes over.
    Failover,
}

impl World {
    /// Nothing has happened yet.
    fn new(config: &Config) -> Self {
        let tasks = config.clients.iter().enumerate();
        let server = Server {
            fence: if config.warm { SEEDED } else { 0 },
            ..Server::default()
        };
        let mut world = Self {
            server,
            replica: None,
            clock: SEEDED,
            arrivals: Arrivals::new(),
            clients: tasks
                .map(|(number, tasks)| Client::new(number, *tasks, config.warm))
                .collect(),
            links: config.clients.iter().map(|_| Link::default()).collect(),
            ghost: Ghost::default(),
            forcing: None,
            faults: config.faults,
        };
        world.tidy();
        world
    }

    /// Whether nothing has to happen before time may pass: clients that run do what is due at once, and a message stays
    /// for one tick at most.
    fn may_tick(&self, config: &Config) -> bool {
        self.clients.iter().zip(&self.links).all(|(client, link)| {
            let running = client.life == Life::Running;
            let out = client.life != Life::Dead && !link.closing;
            let (sending, reading) = if config.slow {
                (client.out.is_overdue(), client.inbox.is_overdue())
            } else {
                (!client.out.is_empty(), !client.inbox.is_empty())
            };
            let due = client.due().is_some() || client.expired().is_some();
            !(out && sending || running && (reading || due))
        })
    }

    fn tick(&mut self, config: &Config) {
        self.server.tick(config);
        if let Some(replica) = &mut self.replica {
            replica.tick(config);
        }
        for (client, link) in self.clients.iter_mut().zip(&self.links) {
            let stands = client.life == Life::Paused && config.has(Bug::ClockStops);
            client.tick(stands, config);
            client.out.age();
            client.inbox.age();
            if link.closing {
                client.out.forget_age();
            }
            if client.life != Life::Running {
                client.inbox.forget_age();
            }
        }
        self.count_ticks(config);
    }

    /// What a client may do.
    fn client_actions(&self, at: usize, config: &Config, actions: &mut Vec<Action>) {
        let client = &self.clients[at];
        if client.life != Life::Running {
            return;
        }
        if !client.inbox.is_empty() {
            actions.push(Action::Deliver(at));
            if client.may_begin_by_grant() {
                actions.push(Action::Claim(at));
            }
        }
        if let Some(task) = client.due() {
            actions.push(Action::Look(at, task));
        }
        if let Some(task) = client.expired() {
            actions.push(Action::NoticeLoss(at, task));
        }
        for (number, job) in client.jobs.iter().enumerate() {
            if job.kind == JobKind::Again && !self.links[at].has_late(job.owner) {
                actions.push(Action::Again(at, number));
            }
        }
        for task in 0..client.tasks.len() {
            if self.may_begin(at, task, config) {
                // A take sets the owner, not the marker.
                let exclusive = config.limit(client.owner(task)) == EXCLUSIVE;
                let take = exclusive && (client.seeded || config.has(Bug::TakeUnseeded));
                let asks = [(true, Ask::Retake), (take, Ask::Take)];
                let kinds = [(config.waits, true), (config.tries, false)];
                for (_, ask) in asks.into_iter().filter(|(may, _)| *may) {
                    for (_, waits) in kinds.into_iter().filter(|(may, _)| *may) {
                        actions.push(Action::Begin(at, task, waits, ask));
                    }
                }
            }
            if client.live_token(task).is_some() {
                actions.push(Action::Release(at, task));
            }
            if let Some(left) = client.renewable(task) {
                if config.renews && left < client.ttl(task) {
                    actions.push(Action::Renew(at, task));
                }
                if self.faults.extends > 0 {
                    let other = |to: &u8| *to > 0 && *to != client.ttl(task);
                    for to in [config.ttl - 1, config.ttl + 1].into_iter().filter(other) {
                        actions.push(Action::Extend(at, task, to));
                    }
                }
            }
            if client.renewal_is_late(task) {
                actions.push(Action::RenewalTimesOut(at, task));
            }
            if client.may_cancel(task) && self.faults.cancels > 0 {
                actions.push(Action::Cancel(at, task));
            }
            if client.is_live_waiter(task) && self.faults.stalls > 0 {
                actions.push(Action::Stall(at, task));
            }
        }
    }

    /// Clients are alike, if they ask for the same, and so are tasks: they may as well begin in the order of their numbers.
    fn may_begin(&self, at: usize, task: usize, config: &Config) -> bool {
        let client = &self.clients[at];
        let alike = (0..at).rev().find(|other| config.are_alike(*other, at));
        let before = if task > 0 {
            client.tasks[task - 1].begun > 0
        } else {
            alike.is_none_or(|other| self.clients[other].tasks[0].begun > 0)
        };
        before && client.is_idle(task) && client.tasks[task].begun < config.attempts
    }

    fn act(&mut self, action: Action, config: &Config) {
        let ghost = &mut self.ghost;
        match action {
            Action::Tick => self.tick(config),
            Action::Begin(at, task, waits, ask) => {
                self.clients[at].begin(task, waits, ask, config);
            }
            Action::Execute(at) => self.execute(at, config),
            Action::Deliver(at) => self.deliver(at, config),
            Action::Claim(at) => {
                self.clients[at].forget_answered();
                self.deliver(at, config);
            }
            Action::Look(at, task) => self.clients[at].look(task, config),
            Action::Cancel(at, task) => {
                self.faults.cancels -= 1;
                self.clients[at].cancel(task, config);
            }
            Action::Renew(at, task) => self.clients[at].renew(task),
            Action::Extend(at, task, to) => {
                self.faults.extends -= 1;
                self.clients[at].extend(task, to);
            }
            Action::RenewalTimesOut(at, task) => {
                self.links[at].fail(self.clients[at].owner(task));
                self.clients[at].renewal_failed(task, true, config);
            }
            Action::Stall(at, task) => {
                self.faults.stalls -= 1;
                self.clients[at].stall(task);
                ghost.told.remove(self.clients[at].owner(task));
            }
            Action::Release(at, task) => self.clients[at].release(task),
            Action::NoticeLoss(at, task) => self.clients[at].lose(task, ghost),
            Action::Again(at, job) => self.clients[at].release_again(job),
            Action::Pause(at) => {
                self.faults.pauses -= 1;
                self.clients[at].life = Life::Paused;
                self.clients[at].inbox.forget_age();
            }
            Action::Resume(at) => {
                self.clients[at].life = Life::Running;
                self.clients[at].inbox.age();
            }
            fault => self.happen(fault, config),
        }
    }

    /// Brings the state into one form, so that alike states are one: only the order of tokens and of places matters.
    fn tidy(&mut self) {
        let mut tokens = Tokens::new();
        tokens.push(&mut self.clock);
        tokens.push(&mut self.server.fence);
        tokens.push(&mut self.ghost.issued);
        tokens.push(&mut self.ghost.handed);
        tokens.push(&mut self.ghost.shared);
        tokens.extend(self.replica.iter_mut().map(|replica| &mut replica.fence));
        for client in &mut self.clients {
            client.tokens(&mut tokens);
        }
        compress(tokens);
        let (clients, links) = (&mut self.clients, &mut self.links);
        let (server, replica) = (&self.server, &self.replica);
        for (client, link) in clients.iter_mut().zip(links.iter_mut()) {
            client.tidy_leases(&link.late);
            for command in link.late.iter_mut() {
                command.awaited &= client.expects_late(command.owner, command.kind);
            }
        }
        let under_way = |owner: crate::wire::Owner| {
            let at = owner.client();
            at < clients.len()
                && (clients[at].task_of(owner).is_some() || links[at].has_late(owner))
        };
        let holds = |owner| {
            let replica = replica.as_ref();
            server.is_held_by(owner) || replica.is_some_and(|replica| replica.is_held_by(owner))
        };
        let queued = |owner| {
            let replica = replica.as_ref();
            server.queue.contains(&owner)
                || replica.is_some_and(|replica| replica.queue.contains(&owner))
        };
        let ghost = &mut self.ghost;
        ghost.deposed.retain(under_way);
        ghost.outdated.retain(under_way);
        ghost
            .restarted
            .retain(|owner| ghost.deposed.contains(owner));
        ghost.told.retain(under_way);
        ghost.lost.retain(|owner| {
            holds(owner)
                || queued(owner)
                || owner.client() < links.len() && links[owner.client()].has_late(owner)
        });
        self.arrivals
            .retain(|owner| queued(*owner) || under_way(*owner));
    }
}

/// Every token anywhere.
pub(crate) type Tokens<'a> = ArrayVec<&'a mut u8, 64>;

/// Renumbers tokens: their order stays, and steps of one; larger steps become two.
fn compress(mut tokens: Tokens<'_>) {
    tokens.retain(|token| **token >= SEEDED);
    tokens.sort_unstable();
    let (mut before, mut now) = (SEEDED, SEEDED);
    for token in tokens {
        now += (*token - before).min(2);
        before = *token;
        *token = now;
    }
}

impl Model for Config {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.may_tick(self) {
            actions.push(Action::Tick);
        }
        for at in 0..world.clients.len() {
            world.client_actions(at, self, actions);
            world.network_actions(at, actions);
        }
        world.server_actions(actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(action, self);
        for client in &mut next.clients {
            client.seeded &= client.begins_more(self);
        }
        next.tidy();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
