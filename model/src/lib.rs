//! A model of leaselock's wire protocol 1, whose states a checker ([stateright]) goes through, all of them.
//!
//! It is an abstraction of `core/`, written beside it file by file: what scripts do in `server.rs`, `hand_over.rs` and `holders.rs`, what an acquire does in
//! `client.rs` and `undo.rs`, who looks when in `waiting.rs`, deadlines and renewals in `holding.rs`, connections and faults
//! in `network.rs`. Whoever changes a rule of the protocol changes it here too and runs `cargo test -p leaselock-model`.
//!
//! # What is modelled
//!
//! One lock, its holders, its queue and its token counter on one server; two or three clients, each a process with one connection and one
//! to three tasks that acquire. Time goes in **ticks**: a TTL is 2 to 4 of them, the claim window 1 or 2, the fallback
//! interval 2 or, to see that it is not needed, 8; a client does not tell its waiters again for 1, or, since its second may
//! begin anywhere in a tick, for 2. Everything else happens between ticks, in any order. Two rules keep time honest: a
//! client that runs does at once what is due, and a message stays in the network for one tick at most. What takes longer is
//! a fault: a client is stopped (its clock goes on, its messages wait), or a connection breaks. Each fault may happen as
//! often as the configuration says.
//!
//! | rule of the protocol | action, and where |
//! | --- | --- |
//! | *take*: set and count in one, by a connection that was seeded | `Begin(_, _, _, Take)`, `Execute`; `Server::take` |
//! | *wait*: claim, take, hand over or queue; also the retry of a take | `Begin(_, _, _, Retake)`, `Execute`; `Server::wait` |
//! | behind waiters of its own client, an acquire queues at once | `Begin`; `Client::begin` |
//! | one command of an owner is unanswered at a time; news meanwhile waits | `Deliver`; `Phase::Asking::news` |
//! | an answer that took longer than half the TTL is claimed again | `Deliver`; `Client::on_acquired` |
//! | deadlines count from sending, on a clock that never stops | `Tick`; `Phase::Holding::left` |
//! | *renew* extends what is still the owner's, and leaves more alone; an answer that comes late counts | `Renew`, `RenewalTimesOut`, `Execute`, `ExecuteLate`; `Server::renew`, `Client::on_late` |
//! | *extend*, to more or to less, may shorten; one that may still be carried out caps later deadlines | `Extend`, `Drop`; `Phase::Holding::cap` |
//! | a *wait* of the holder leaves more alone; but a look from the queue may turn out to be the claim, and cut the claim window to a shorter TTL: unanswered it caps like an extend | `Execute`, `ExecuteLate`; `Server::claim`, `Cut` |
//! | past its deadline a lease is lost, and a late renewal does not revive it | `NoticeLoss`, `Deliver`; `Client::lose` |
//! | *release* hands over, or deletes; giving up and undoing are the same script | `Release`, `Cancel`, `Execute`; `Server::release` |
//! | hand-over: pop, count, claim window, grant, and the notice to the next | `Server::hand_over`, `Server::tell_head` |
//! | a request says how many may hold the name beside it: K is the owner or the marker, H has who shares it | `Config::limits`; `Server::admits`, `Server::admit` |
//! | K's time follows the latest end in H; H empty is a free name, and whatever H holds under no marker is void | `Tick`, `LoseLock`, `LoseHolders`; `Server::follow`, `Server::meet_holders` |
//! | a hand-over admits heads while they may have the name, each with a grant and a token of its own; also where the head has left, or was dropped as dead | `Server::hand_over`, `Server::give_back`, `Server::wait` |
//! | the head watches the end that makes room for it, and is told where that has come earlier | `Server::watch`, `Server::give_back` |
//! | nobody heard the grant: the next one's turn | `publish` in `network.rs`; `Kill`, `NoticeGone` |
//! | past so many dead waiters a script asks to be sent again, and holds the name meanwhile | `Owner::HANDING`; `Server::go_on_handing` |
//! | a look at a held name, from the queue, drops dead waiters from its front | `Look`, `Execute`; `Server::prune` |
//! | a grant begins a lease that counts from a recent wait, answered before; otherwise, or all the same, it is claimed | `Deliver`, `Claim`; `Client::on_grant`, `Task::answered` |
//! | a grant for a waiter that is gone is passed on | `Deliver`; `Client::on_grant` |
//! | the next in line looks at the PTTL, the others of a client one by one after it; all of them at the fallback interval; who sleeps hears of other times when it wakes | `Look`; `Seen::look_in`, `Client::set_timer` |
//! | a waiter may be one that nobody polls | `Stall` |
//! | a waiter that is told that its place was lost has the others of its client ask again, once in a second | `Deliver`, `Flush`, `LoseQueue`; `Server::wait`, `Client::look_again` |
//! | after a lost connection: subscribe again, every waiter asks again, every lease is renewed | `Drop`, `Close`, `Deliver`; `Client::on_broken` |
//! | what was unanswered on a broken connection is taken back once more, later | `ExecuteLate`, `LoseLate`, `Again` |
//! | a *wait* lifts the counter to the clock, unless it only looks; low counts are no tokens | `Restart`, `Flush`, `Failover`; `Server::count`, `Client::on_held` |
//! | a foreign holder tells nobody | `StrangerTakes`, `StrangerReleases` |
//! | a forced release ends the lease that it met, also when it is sent again; the deposed holder's overlap | `Meet`, `Force`; `Ghost::deposed` |
//! | inbox messages may be lost | `LoseMessage`, and with every broken connection |
//!
//! # What is checked
//!
//! [`properties`] has fifteen that always hold: **tokens grow**, uniquely, in the order in which leases start; there is **one
//! live lease** among clients that obey their deadlines, or as many as share the name; **the live holder has the newest token**
//! that was handed out, and one that shares has a newer one than every exclusive holder before it;
//! **whoever is admitted has room** beside all that hold the name, by the server and by their own deadlines; **first come, first
//! served**: a script lets nobody in before a live waiter that came earlier; **a shared name lasts as long as its holders**;
//! **nothing is left** of an acquire that is over, neither lock nor queue entry, once all that was under way has arrived; and
//! **a free lock is taken soon** where a live waiter is: the ticks for which it is not are counted in the state, since the
//! checker's own `eventually` does not see cycles. A **forced release ends the lease it met**; a **name with a queue is not free
//! in between**; **dead waiters leave** it; a client's waiters are **back together** where the queue was lost, do **not have each
//! other ask again and again**, and where that is for nothing, since a claim window was missed, it **comes to an end**; and **a
//! holder learns soon of a restart**. Three more must be reachable, so that these mean something.
//!
//! Two leases may be live at once where data was lost, or a forced release met the first: that one alone, and until a
//! renewal of it is answered.
//!
//! A shared name counts as free for a waiter that is the first in the queue and fits. One that is a reader waits behind a writer, also
//! behind one that is stopped, or not polled: it is still in line.
//!
//! `tests/correct.rs` and `correct_edges.rs` exhaust the protocol as it is, `correct_holders.rs` and `correct_holders_edges.rs`
//! where names are shared; `tests/seeded_bugs.rs`, `seeded_edges.rs` and `seeded_holders.rs` break one rule at a time ([`Bug`]) and have the checker find where that leads.
//!
//! # What keeps it small
//!
//! - Tokens are numbers of which only the order matters: after each step they are renumbered. The server's clock is the
//!   highest count there ever was: nobody takes a million locks a second, so the real one is never behind that.
//! - Clients that ask for the same are alike, and so are a client's tasks: they begin in the order of their numbers, which loses nothing.
//! - A holder whose time has ended leaves H as it ends; in the scripts, when the next one meets the marker. None looks at H before.
//! - Subscribing and the first queueing travel as one; reconnecting takes no time; an answer that nobody waits for is not sent.
//! - A message to a stopped client replaces one just like it before it.
//! - The drift is the order within a tick: a deadline and the lock's expiry of the same tick come together.
//!
//! # What is left out
//!
//! The queue's own TTL, closing a client, connections of blocking callers and event loops (to the server they look like a
//! connection that is given up), `max_hold`, and releases by hand, which are forced ones; and notices of a touched lock, the
//! minute for which a contended name is asked for by *wait* alone, and the pace at which a failed renewal is tried again.
//!
//! A host that vanished without closing its connections, and has a writer in the queue, holds up who is behind that for as long as
//! others share the name, or until the server notices (its `tcp-keepalive`): an exclusive name costs it one claim window
//! when its turn comes. Which of H's members were met by a forced release is known to whoever releases: it names them.
//!
//! Two things take until the fallback interval. Waiters are not told of a lost queue where the one that notices does so within
//! a second of another time that they were told, or has an answer so late that it claims again; then they look by themselves.
//! And a newcomer of the same client puts off the looks of those before it, but drops no dead waiters itself.
//!
//! A command left on a broken connection is carried out or dropped before the release that takes it back once more, as
//! the core assumes; one that is not costs one TTL. For the same reason a deposed holder whose *wait* was left behind before can
//! get the name back with its old token: [`properties::NEWEST_TOKEN`] leaves that one out, and the resource's check is what
//! stands against it. So is a failover behind a proxy that keeps connections open, within the second for which a take
//! trusts its seed. A first *wait* whose answer was lost, sent again to a replica that has its place but not the latest counts,
//! lifts no counter there and yet counts as a seed for a take: no configuration here is large enough to come to that.
//!
//! [stateright]: https://docs.rs/stateright

mod bounds;
pub mod checker;
mod client;
pub mod config;
mod ghost;
mod hand_over;
mod holders;
mod holding;
mod network;
mod noting;
pub mod properties;
mod server;
mod task;
mod undo;
mod waiting;
mod wire;
pub mod world;

pub use config::{Bug, Config, Faults};
pub use task::Ask;
