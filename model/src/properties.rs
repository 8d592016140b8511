//! What must always be true, and what must be reachable so that it means something.

use stateright::Property;

use crate::client::{Client, Life};
use crate::config::{Config, EXCLUSIVE, SHARED};
use crate::wire::{Kind, Message, Owner};
use crate::world::World;

/// Tokens are unique, and grow in the order in which leases start.
pub const TOKENS_GROW: &str = "tokens grow";
/// At most one lease is live, of those that nobody deposed; or as many as share the name.
pub const ONE_LEASE: &str = "one live lease";
/// The live holder's token is the newest that was handed out; one that shares has a newer one than every exclusive holder
/// before, and no two have the same.
pub const NEWEST_TOKEN: &str = "the live holder has the newest token";
/// Nobody is admitted beside more than it allows, nor beside an exclusive holder.
pub const ROOM: &str = "whoever is admitted has room";
/// Nobody is admitted before a live waiter that came earlier, but by a take.
pub const IN_ORDER: &str = "first come, first served";
/// A shared name is taken for as long as the last of its holders has it.
pub const LASTS: &str = "a shared name lasts as long as its holders";
/// No lock and no queue entry of an acquire that is over, once everything under way has arrived.
pub const NOTHING_LEFT: &str = "nothing is left";
/// A free lock with a live waiter is taken within so many ticks.
pub const TAKEN_SOON: &str = "a free lock is taken soon";

/// A release by force ends the lease that it met, and no other.
pub const FORCE_MEETS: &str = "a forced release ends the lease it met";
/// Nobody takes a name before a live waiter because a script has left it free in between.
pub const NOT_FREE_BETWEEN: &str = "a name with a queue is not free in between";
/// A dead waiter does not stay the first in the queue.
pub const DEAD_LEAVE: &str = "dead waiters leave the queue";
/// Where the queue was lost, a client's waiters are back together.
pub const BACK_TOGETHER: &str = "a client's waiters are back in the queue together";
/// They do not have each other ask again and again: each of the others once in a tick.
pub const QUIET: &str = "waiters do not ask again and again";
/// Nor for ever.
pub const COMES_TO_AN_END: &str = "asking again comes to an end";
/// A holder whose server came back with other data learns of it soon after it has a connection.
pub const LEARNS_SOON: &str = "a holder learns soon of a restart";

/// Ticks for [`LEARNS_SOON`]: there and back.
pub(crate) const LEARNS_WITHIN: u8 = 2;
/// Ticks for [`DEAD_LEAVE`], more than the fallback interval.
pub(crate) const PRUNES_WITHIN: u8 = 2;

/// Reachable: the name was handed to a waiter.
pub const HANDED_OVER: &str = "a waiter is granted the name";
/// Reachable: a lease begins with its grant.
pub const BEGUN_BY_GRANT: &str = "a grant begins a lease";
/// Reachable: more than one has the name.
pub const HELD_TOGETHER: &str = "some hold it together";
/// Reachable: every acquire came to its end, and nothing is left anywhere.
pub const ALL_OVER: &str = "all is over";

/// Whether this is one of those that are to be reached.
#[must_use]
pub fn is_example(property: &str) -> bool {
    [HANDED_OVER, BEGUN_BY_GRANT, HELD_TOGETHER, ALL_OVER].contains(&property)
}

/// All of them.
pub(crate) fn all() -> Vec<Property<Config>> {
    vec![
        Property::always(TOKENS_GROW, |_, world: &World| !world.ghost.disorder),
        Property::always(ONE_LEASE, one_lease),
        Property::always(NEWEST_TOKEN, newest_token),
        Property::always(ROOM, |_, world: &World| !world.ghost.crowded),
        Property::always(IN_ORDER, |_, world: &World| !world.ghost.overtook),
        Property::always(LASTS, lasts),
        Property::always(NOTHING_LEFT, |_, world| nothing_left(world)),
        Property::always(TAKEN_SOON, |config: &Config, world: &World| {
            world.ghost.free_ticks <= config.patience
        }),
        Property::always(FORCE_MEETS, |_, world: &World| !world.ghost.overreached),
        Property::always(NOT_FREE_BETWEEN, |_, world: &World| !world.ghost.barged),
        Property::always(DEAD_LEAVE, |config: &Config, world: &World| {
            world.ghost.dead_ticks <= config.check + PRUNES_WITHIN
        }),
        Property::always(BACK_TOGETHER, |config: &Config, world: &World| {
            world.ghost.apart_ticks <= config.together
        }),
        Property::always(QUIET, |config: &Config, world: &World| {
            world.ghost.asked_again <= config.others()
        }),
        Property::always(COMES_TO_AN_END, |config: &Config, world: &World| {
            world.ghost.asks_again <= config.asks_again.unwrap_or(0)
        }),
        Property::always(LEARNS_SOON, |_, world: &World| {
            world.ghost.learning <= LEARNS_WITHIN
        }),
        Property::sometimes(HANDED_OVER, |_, world| handed_over(world)),
        Property::sometimes(BEGUN_BY_GRANT, |_, world| begun_by_grant(world)),
        Property::sometimes(HELD_TOGETHER, |_, world: &World| {
            world.server.holding().len() > 1 && leases(world).nth(1).is_some()
        }),
        Property::sometimes(ALL_OVER, all_over),
    ]
}

/// Owners and tokens of live leases.
fn leases(world: &World) -> impl Iterator<Item = (Owner, u8)> + '_ {
    world.clients.iter().flat_map(|client| {
        (0..client.tasks.len())
            .filter_map(|task| Some((client.owner(task), client.live_token(task)?)))
    })
}

fn one_lease(config: &Config, world: &World) -> bool {
    let deposed = |owner| world.ghost.deposed.contains(owner);
    let live = || leases(world).filter(move |(owner, _)| !deposed(*owner));
    let count = live().count();
    if count <= 1 {
        return true;
    }
    let limits = || live().map(|(owner, _)| config.limit(owner));
    let most = limits().max().unwrap_or(EXCLUSIVE);
    let readers = limits().any(|limit| limit == SHARED);
    limits().all(|limit| limit != EXCLUSIVE) && (readers || count <= usize::from(most))
}

/// Where its holders alone were lost, it has its time to the end.
fn lasts(config: &Config, world: &World) -> bool {
    world.server.has_right_time() || world.faults.holders < config.faults.holders
}

/// Of a deposed holder only while the server says that it holds, and not where a command that was carried out late, or a
/// replica, has brought it back (see the crate's documentation).
fn newest_token(config: &Config, world: &World) -> bool {
    let ghost = &world.ghost;
    leases(world).all(|(owner, token)| {
        let newest = if config.limit(owner) == EXCLUSIVE {
            token == ghost.handed && token > ghost.shared
        } else {
            let same = |(other, its): (Owner, u8)| other != owner && its == token;
            token > ghost.handed && !leases(world).any(same)
        };
        let deposed = ghost.deposed.contains(owner) && !world.server.is_held_by(owner);
        newest || deposed || ghost.outdated.contains(owner)
    })
}

fn nothing_left(world: &World) -> bool {
    let holding = world.server.holding().iter();
    let mut left = holding.chain(world.server.queue.iter().copied());
    left.all(|owner| {
        owner == Owner::FOREIGN
            || owner == Owner::HANDING
            || world.ghost.lost.contains(owner)
            || is_under_way(world, owner)
    })
}

/// Whether something of this owner is still to happen.
pub(crate) fn is_under_way(world: &World, owner: Owner) -> bool {
    let client = &world.clients[owner.client()];
    let granted = |message| matches!(message, Message::Grant(to, _) if to == owner);
    client.life == Life::Dead
        || client.task_of(owner).is_some()
        || client.jobs.iter().any(|job| job.owner == owner)
        || client.out.iter().any(|command| command.owner == owner)
        || client.inbox.iter().any(granted)
        || world.links[owner.client()].has_late(owner)
}

fn handed_over(world: &World) -> bool {
    let claiming = |client: &Client, owner: Owner| {
        let claim = |command: crate::wire::Command| {
            command.owner == owner && matches!(command.kind, Kind::Wait { placed: true, .. })
        };
        client.out.iter().any(claim)
    };
    world.server.holding().iter().any(|owner| {
        owner != Owner::FOREIGN
            && owner != Owner::HANDING
            && claiming(&world.clients[owner.client()], owner)
    })
}

fn begun_by_grant(world: &World) -> bool {
    world.clients.iter().any(Client::may_begin_by_grant)
}

fn all_over(config: &Config, world: &World) -> bool {
    world.server.lock.is_none()
        && world.clients.iter().all(|client| {
            client.jobs.is_empty()
                && client.out.is_empty()
                && (0..client.tasks.len())
                    .all(|task| client.is_idle(task) && client.tasks[task].begun == config.attempts)
        })
}
