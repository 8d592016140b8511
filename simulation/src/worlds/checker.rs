//! What is known of each operation and of each name, by what the clients say and by what the server has.

use std::sync::Weak;

use crate::server::{Micros, Server};
use crate::worlds::order::Line;
use crate::worlds::plan::{Acquire, Plan, What};
use crate::worlds::taken::Taken;

/// An acquire of one name, and the lease that came of it; of several names together each has its own.
// Independent facts.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone)]
pub(crate) struct Op {
    /// The number of what it is in the plan, and in the owner: the same for all names that are taken together.
    pub(crate) item: usize,
    pub(crate) name: usize,
    pub(crate) acquire: Acquire,
    pub(crate) began: Option<u64>,
    pub(crate) started: Option<u64>,
    /// The acquire failed, or all is done that was to be done with the lease.
    pub(crate) over: Option<u64>,
    pub(crate) token: u64,
    pub(crate) taken: Weak<Taken>,
    /// The holder gave it back.
    pub(crate) given_back: bool,
    pub(crate) is_detached: bool,
    /// The server said nothing to its release: it is there until its TTL ends.
    pub(crate) is_left_behind: bool,
    /// When others ended it, or took its time from it.
    pub(crate) deposed: Option<u64>,
    /// Since when the server has not got it any more, while its holder takes it to be held.
    pub(crate) gone_since: Option<u64>,
    /// When the holder has to have learned of that.
    pub(crate) learns_by: Option<u64>,
    pub(crate) told: bool,
    pub(crate) lapsed: Option<u64>,
    /// Since when it is the first in line for a shared name that has room for it.
    pub(crate) room_since: Option<u64>,
    /// Of one of several names: since when it is the one that is asked for.
    pub(crate) in_turn_since: Option<u64>,
    /// Since when it has the name while it waits for another that comes before.
    pub(crate) out_of_turn_since: Option<u64>,
    /// It was dropped, or its process has ended.
    pub(crate) is_dead: bool,
}

impl Op {
    /// How long its holder takes it to be held still, in µs.
    pub(crate) fn held_for(&self) -> u64 {
        if self.given_back || self.is_dead {
            return 0;
        }
        let left = self.taken.upgrade().map(|taken| taken.expires_in());
        left.map_or(0, |left| {
            u64::try_from(left.as_micros()).unwrap_or(u64::MAX)
        })
    }

    /// Until when the name stays taken though it is given back.
    pub(crate) fn kept_until(&self) -> u64 {
        let kept = self.acquire.min_hold.unwrap_or(0) * 1_000;
        self.started.map_or(0, |started| started + kept)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.began.is_some() && self.started.is_none() && self.over.is_none() && !self.is_dead
    }
}

/// What the server has of a name.
pub(crate) struct Truth {
    pub(crate) name: usize,
    /// The keys of the lock, of its queue and of those that share it.
    pub(crate) lock: String,
    pub(crate) queue: String,
    sharers: String,
    /// The operations that hold it.
    pub(crate) holders: Vec<usize>,
    pub(crate) is_taken: bool,
    pub(crate) is_shared: bool,
    pub(crate) free_since: Option<u64>,
    pub(crate) line: Line,
    /// Releases by force that are under way.
    pub(crate) forces: usize,
    /// Whoever waits may have been told of a time until then, which was shortened since.
    pub(crate) told_until: u64,
}

impl Truth {
    fn new(name: usize) -> Self {
        Self {
            name,
            lock: lock_key(name),
            queue: queue_key(name),
            sharers: format!("{{lock||app||{name}}}||||holders"),
            holders: Vec::new(),
            is_taken: false,
            is_shared: false,
            free_since: None,
            line: Line::default(),
            forces: 0,
            told_until: 0,
        }
    }

    /// Those who wait for it by what the server has, in their order.
    pub(crate) fn waiting(&self, server: &Server, clock: Micros, ops: &[Op]) -> Vec<usize> {
        let members = server.members_of(&self.queue, clock).iter();
        let waiting = members.filter_map(|(_, member)| op_of(member, self.name, ops));
        waiting.collect()
    }

    /// Whether this one waits for it by what the server has.
    pub(crate) fn has_in_line(
        &self,
        op: usize,
        server: &Server,
        clock: Micros,
        ops: &[Op],
    ) -> bool {
        self.waiting(server, clock, ops).contains(&op)
    }

    /// The owners that share it at this time.
    pub(crate) fn sharing<'a>(&self, server: &'a Server, clock: Micros) -> Vec<&'a [u8]> {
        #[allow(clippy::cast_precision_loss)] // as the scores, which are times
        let now = clock.div_euclid(1_000) as f64;
        let members = server.members_of(&self.sharers, clock).iter();
        let live = members.filter(|(ends, _)| *ends > now);
        live.map(|(_, owner)| owner.as_slice()).collect()
    }
}

/// Keeps account of a world.
pub(crate) struct Checker {
    pub(crate) ops: Vec<Op>,
    pub(crate) truth: Vec<Truth>,
    /// The server's clock went back, and its data was lost: the one thing that tokens do not survive.
    pub(crate) went_back: bool,
    pub(crate) lost_data: bool,
    pub(crate) command_timeout: u64,
    pub(crate) offset: Option<u64>,
}

impl Checker {
    pub(crate) fn new(plan: &Plan) -> Self {
        let most = plan.items.iter().map(|item| item.id + 1).max().unwrap_or(0);
        let nothing = Acquire {
            client: 0,
            names: vec![0],
            limit: 1,
            ttl: 0,
            wait: None,
            renew: false,
            max_hold: None,
            min_hold: None,
            cancelled: None,
            then: Vec::new(),
        };
        let mut ops: Vec<Op> = (0..most)
            .map(|item| Op {
                item,
                name: 0,
                acquire: nothing.clone(),
                began: None,
                started: None,
                over: Some(0),
                token: 0,
                taken: Weak::new(),
                given_back: false,
                is_detached: false,
                is_left_behind: false,
                deposed: None,
                gone_since: None,
                learns_by: None,
                told: false,
                lapsed: None,
                room_since: None,
                in_turn_since: Some(0),
                out_of_turn_since: None,
                is_dead: false,
            })
            .collect();
        for item in &plan.items {
            if let What::Acquire(acquire) = &item.what {
                let mut names = acquire.names.clone();
                names.sort_unstable();
                names.dedup();
                ops[item.id].name = names[0];
                ops[item.id].acquire = acquire.clone();
                ops[item.id].over = None;
                let others = names[1..].iter().map(|&name| Op {
                    name,
                    ..ops[item.id].clone()
                });
                let others: Vec<Op> = others.collect();
                ops.extend(others);
            }
        }
        Self {
            ops,
            truth: (0..plan.names).map(Truth::new).collect(),
            went_back: false,
            lost_data: false,
            command_timeout: plan.command_timeout * 1_000,
            offset: None,
        }
    }
}

/// What these operations are in the plan.
pub(crate) fn items(ops: &[Op], at: &[usize]) -> Vec<usize> {
    at.iter().map(|&at| ops[at].item).collect()
}

/// The lock's key.
pub(crate) fn lock_key(name: usize) -> String {
    format!("lock||app||{name}")
}

/// Its queue.
pub(crate) fn queue_key(name: usize) -> String {
    format!("{{lock||app||{name}}}||||queue")
}

/// The operation that an owner of a name is of.
pub(crate) fn op_of(owner: &[u8], name: usize, ops: &[Op]) -> Option<usize> {
    let owner = str::from_utf8(owner).ok()?.rsplit('|').next()?;
    let item: usize = owner.strip_prefix("op")?.split(':').next()?.parse().ok()?;
    if ops.get(item)?.name == name {
        return Some(item);
    }
    ops.iter().position(|op| op.item == item && op.name == name)
}
