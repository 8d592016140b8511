//! A model of leaselock's wire protocol 1, whose states a checker ([stateright]) goes through, all of them.
//!
//! It is an abstraction of `core/`, written beside it file by file: what scripts do in `server.rs`, what an acquire does in
//! `client.rs` and `undo.rs`, who looks when in `waiting.rs`, deadlines and renewals in `holding.rs`, connections and faults
//! in `network.rs`. Whoever changes a rule of the protocol changes it here too and runs `cargo test -p leaselock-model`.
//!
//! # What is modelled
//!
//! One lock, its queue and its token counter on one server; two or three clients, each a process with one connection and
//! one or two tasks that acquire. Time goes in **ticks**: a TTL is 2 to 4 of them, the claim window 1 or 2, the fallback interval 2 or,
//! to see that it is not needed, 8. Everything else happens between ticks, in any order. Two rules keep time honest: a client that runs does
//! at once what is due, and a message stays in the network for one tick at most. What takes longer is a fault: a client is stopped (its
//! clock goes on, its messages wait), or a connection breaks. Each fault may happen as often as the configuration says.
//!
//! | rule of the protocol | action, and where |
//! | --- | --- |
//! | *take*: set and count in one, by a connection that was seeded | `Begin(_, _, _, Take)`, `Execute`; `Server::take` |
//! | *wait*: claim, take, hand over or queue; also the retry of a take | `Begin(_, _, _, Retake)`, `Execute`; `Server::wait` |
//! | behind waiters of its own client, an acquire queues at once | `Begin`; `Client::begin` |
//! | one command of an owner is unanswered at a time; news meanwhile waits | `Deliver`; `Phase::Asking::news` |
//! | an answer that took longer than half the TTL is claimed again | `Deliver`; `Client::on_acquired` |
//! | deadlines count from sending, on a clock that never stops | `Tick`; `Phase::Holding::left` |
//! | *renew* extends what is still the owner's; times out without ending the connection | `Renew`, `RenewalTimesOut`, `Execute` |
//! | a shorter *extend* that may still be carried out caps later deadlines | `Extend`, `Drop`; `Phase::Holding::cap` |
//! | past its deadline a lease is lost, and a late renewal does not revive it | `NoticeLoss`, `Deliver`; `Client::lose` |
//! | *release* hands over, or deletes; giving up and undoing are the same script | `Release`, `Cancel`, `Execute`; `Server::release` |
//! | hand-over: pop, count, claim window, grant, and the notice to the next | `Server::hand_over`, `Server::tell_head` |
//! | nobody heard the grant: the next one's turn | `publish` in `network.rs`; `Kill`, `NoticeGone` |
//! | a grant begins a lease that counts from a recent wait, answered before; otherwise, or all the same, it is claimed | `Deliver`, `Claim`; `Client::on_grant`, `Task::answered` |
//! | a grant for a waiter that is gone is passed on | `Deliver`; `Client::on_grant` |
//! | the first waiter of a client looks at the PTTL, or at the fallback interval | `Look`; `Seen::look_in` |
//! | after a lost connection: subscribe again, and every waiter asks again | `Drop`, `Close`, `Deliver`; `Client::on_broken` |
//! | what was unanswered on a broken connection is taken back once more, later | `ExecuteLate`, `LoseLate`, `Again` |
//! | a *wait* lifts the counter to the clock; low counts are no tokens | `Restart`, `Flush`, `Failover`; `Server::count` |
//! | a foreign holder tells nobody | `StrangerTakes`, `StrangerReleases` |
//! | a forced release, and the deposed holder's overlap | `Force`; `Ghost::deposed` |
//! | inbox messages may be lost | `LoseMessage`, and with every broken connection |
//!
//! # What is checked
//!
//! [`properties`] has five that always hold: **tokens grow**, uniquely, in the order in which leases start; there is **one live
//! lease** among clients that obey their deadlines, deposed ones aside; **the live holder has the newest token** that was handed out;
//! **nothing is left** of an acquire that is over, neither lock nor queue entry, once all that was under way has arrived; and **a free lock
//! is taken soon** where a live waiter is: the ticks for which it is not are counted in the state, since the checker's own
//! `eventually` does not see cycles. Two more must be reachable, so that the five mean something.
//!
//! `tests/correct.rs` exhausts the protocol as it is, `tests/seeded_bugs.rs` breaks one rule at a time ([`Bug`]) and has the
//! checker find where that leads.
//!
//! # What keeps it small
//!
//! - Tokens are numbers of which only the order matters: after each step they are renumbered. The server's clock is the
//!   highest count there ever was: nobody takes a million locks a second, so the real one is never behind that.
//! - Clients are alike, and so are a client's tasks: they begin in the order of their numbers, which loses nothing.
//! - Subscribing and the first queueing travel as one; reconnecting takes no time; an answer that nobody waits for is not sent.
//! - A message to a stopped client replaces one just like it before it.
//! - The drift is the order within a tick: a deadline and the lock's expiry of the same tick come together.
//!
//! # What is left out
//!
//! The queue's own TTL, the limit of 100 dead waiters a script, closing a client, connections of blocking callers and event loops
//! (to the server they look like a connection that is given up), `max_hold`, and releases by hand, which are forced ones.
//! A command left on a broken connection is carried out or dropped before the release that takes it back once more, as
//! the core assumes; one that is not costs one TTL. For the same reason a deposed holder whose *wait* was left behind before can get the name
//! back with its old token, until it looks: [`properties::NEWEST_TOKEN`] leaves that out, and the resource's check is what
//! stands against it. So is a failover behind a proxy that keeps connections open, within the second for which a take
//! trusts its seed.
//!
//! [stateright]: https://docs.rs/stateright

pub mod checker;
mod client;
pub mod config;
mod ghost;
mod holding;
mod network;
pub mod properties;
mod server;
mod undo;
mod waiting;
mod wire;
pub mod world;

pub use client::Ask;
pub use config::{Bug, Config, Faults};
