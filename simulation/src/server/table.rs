//! The commands that are known, and what holds for each.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::commands::{client, info, keys, pubsub, scripting, sorted_sets, strings, transactions};
use super::connection::ConnId;
use super::instance::Server;
use super::reply::{Refused, Reply, Resp};
use super::words::Words;

/// It changes keys.
pub(super) const WRITE: u32 = 1;
/// It reads keys, and they may be tracked.
pub(super) const READ: u32 = 1 << 1;
/// It may need memory.
pub(super) const GROWS: u32 = 1 << 2;
/// No script may call it.
pub(super) const NO_SCRIPT: u32 = 1 << 3;
/// A server that loads carries it out.
pub(super) const LOADING: u32 = 1 << 4;
/// A replica without its master carries it out.
pub(super) const STALE: u32 = 1 << 5;
/// Nobody has to be logged in for it.
pub(super) const NO_AUTH: u32 = 1 << 6;
/// It has no place between MULTI and EXEC.
pub(super) const NO_MULTI: u32 = 1 << 7;
/// A busy server carries it out.
pub(super) const BUSY: u32 = 1 << 8;
/// A connection of RESP2 that listens may use it.
pub(super) const LISTENING: u32 = 1 << 9;
/// It may write, or tell others.
pub(super) const MAY_WRITE: u32 = 1 << 10;
/// It is never queued by MULTI.
pub(super) const AT_ONCE: u32 = 1 << 11;
/// It writes its replies itself, as messages.
pub(super) const PUSHES: u32 = 1 << 12;
/// It has commands of its own, and is none.
const FAMILY: u32 = 1 << 13;

/// Where a command is called from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) id: ConnId,
    pub(super) database: usize,
    pub(super) resp: Resp,
    /// It must not wait: it is of a script or a transaction.
    pub(super) is_inner: bool,
}

type Run = fn(&mut Server, Caller, &Words) -> Result<Reply, Refused>;

/// A command, or one of those that a command has.
pub(super) struct Command {
    /// `client|id` for one of a command's own.
    pub(super) name: &'static str,
    /// How many words it has; at least so many, if negative.
    arity: i32,
    flags: u32,
    keys: Keys,
    pub(super) run: Run,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Command {
    pub(super) fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn takes(&self, words: usize) -> bool {
        let words = i32::try_from(words).unwrap_or(i32::MAX);
        if self.arity < 0 {
            words >= -self.arity
        } else {
            words == self.arity
        }
    }

    pub(super) fn keys_of<'a>(&self, words: &'a Words) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let end = match self.keys {
            Keys::None => 1,
            Keys::One => 2,
            Keys::All => words.len(),
        };
        (1..end).map(|index| &words[index])
    }
}

/// Which words behind the name are keys.
#[derive(Clone, Copy)]
enum Keys {
    None,
    One,
    All,
}

/// What a name stands for.
pub(super) enum Found {
    Command(&'static Command),
    Unknown,
    UnknownOf(&'static str),
}

/// Looks a command up.
pub(super) fn find(words: &Words) -> Found {
    const LONGEST: usize = 24;
    let mut buffer = [0; 2 * LONGEST];
    let mut length = 0;
    for (index, word) in words.from(0).take(2).enumerate() {
        if word.len() > LONGEST - 1 {
            break;
        }
        if index == 1 {
            buffer[length] = b'|';
            length += 1;
        }
        buffer[length..length + word.len()].copy_from_slice(word);
        length += word.len();
    }
    buffer.make_ascii_lowercase();
    let first = words[0].len();
    if first >= LONGEST {
        return Found::Unknown;
    }
    let Some(command) = TABLE.get(&buffer[..first]) else {
        return Found::Unknown;
    };
    if !command.is(FAMILY) || words.len() == 1 {
        return Found::Command(command);
    }
    match TABLE.get(&buffer[..length]) {
        Some(command) if length > first => Found::Command(command),
        _ => Found::UnknownOf(command.name),
    }
}

static TABLE: LazyLock<BTreeMap<&'static [u8], &'static Command>> = LazyLock::new(|| {
    let commands = COMMANDS.iter();
    commands.map(|it| (it.name.as_bytes(), it)).collect()
});

const fn command(name: &'static str, arity: i32, flags: u32, keys: Keys, run: Run) -> Command {
    Command {
        name,
        arity,
        flags,
        keys,
        run,
    }
}

/// It has commands of its own, and is none.
const fn family(name: &'static str) -> Command {
    command(name, -2, FAMILY | ANYTIME, Keys::None, client::family)
}

const KEY: Keys = Keys::One;
const ALL: Keys = Keys::All;
const NONE: Keys = Keys::None;
const ANYTIME: u32 = LOADING | STALE;

#[rustfmt::skip] // a table
static COMMANDS: &[Command] = &[
    command("hello", -1, NO_SCRIPT | ANYTIME | NO_AUTH | BUSY, NONE, client::hello),
    command("auth", -2, NO_SCRIPT | ANYTIME | NO_AUTH | BUSY, NONE, client::auth),
    command("ping", -1, LISTENING, NONE, client::ping),
    command("echo", 2, ANYTIME, NONE, client::echo),
    command("quit", -1, NO_SCRIPT | ANYTIME | NO_AUTH | BUSY | LISTENING | AT_ONCE, NONE, client::quit),
    command("reset", 1, NO_SCRIPT | ANYTIME | NO_AUTH | BUSY | LISTENING | AT_ONCE, NONE, client::reset),
    command("select", 2, ANYTIME, NONE, client::select),
    family("client"),
    command("client|id", 2, NO_SCRIPT | ANYTIME, NONE, client::id),
    command("client|setname", 3, NO_SCRIPT | ANYTIME, NONE, client::set_name),
    command("client|getname", 2, NO_SCRIPT | ANYTIME, NONE, client::get_name),
    command("client|setinfo", 4, NO_SCRIPT | ANYTIME, NONE, client::set_info),
    command("client|tracking", -3, NO_SCRIPT | ANYTIME, NONE, client::tracking),
    command("client|caching", 3, NO_SCRIPT | ANYTIME, NONE, client::caching),
    command("client|pause", -3, NO_SCRIPT | ANYTIME, NONE, client::pause),
    command("client|unpause", 2, NO_SCRIPT | ANYTIME, NONE, client::unpause),
    command("info", -1, ANYTIME, NONE, info::info),
    command("role", 1, NO_SCRIPT | ANYTIME, NONE, info::role),
    command("time", 1, ANYTIME, NONE, info::time),
    command("dbsize", 1, READ, NONE, info::size),
    command("wait", 3, 0, NONE, info::wait),
    family("config"),
    command("config|get", -3, NO_SCRIPT | ANYTIME, NONE, info::config_get),
    family("slowlog"),
    command("slowlog|get", -2, ANYTIME, NONE, info::slow_log),
    command("flushall", -1, WRITE, NONE, keys::flush_all),
    command("flushdb", -1, WRITE, NONE, keys::flush_database),
    command("get", 2, READ, KEY, strings::get),
    command("set", -3, WRITE | GROWS, KEY, strings::set),
    command("incr", 2, WRITE | GROWS, KEY, strings::increment),
    command("del", -2, WRITE, ALL, keys::delete),
    command("unlink", -2, WRITE, ALL, keys::delete),
    command("exists", -2, READ, ALL, keys::exists),
    command("type", 2, READ, KEY, keys::kind),
    command("expire", -3, WRITE, KEY, keys::expire),
    command("pexpire", -3, WRITE, KEY, keys::expire_millis),
    command("pexpireat", -3, WRITE, KEY, keys::expire_at_millis),
    command("persist", 2, WRITE, KEY, keys::persist),
    command("ttl", 2, READ, KEY, keys::ttl),
    command("pttl", 2, READ, KEY, keys::ttl_millis),
    command("pexpiretime", 2, READ, KEY, keys::end_millis),
    command("scan", -2, READ, NONE, keys::scan),
    command("zadd", -4, WRITE | GROWS, KEY, sorted_sets::add),
    command("zrem", -3, WRITE, KEY, sorted_sets::remove),
    command("zcard", 2, READ, KEY, sorted_sets::count),
    command("zscore", 3, READ, KEY, sorted_sets::score),
    command("zrank", 3, READ, KEY, sorted_sets::rank),
    command("zrange", -4, READ, KEY, sorted_sets::range),
    command("zrevrange", -4, READ, KEY, sorted_sets::reversed_range),
    command("zrangebyscore", -4, READ, KEY, sorted_sets::range_by_score),
    command("zrandmember", -2, READ, KEY, sorted_sets::random),
    command("zpopmin", -2, WRITE, KEY, sorted_sets::pop_first),
    command("zremrangebyscore", 4, WRITE, KEY, sorted_sets::remove_by_score),
    command("multi", 1, NO_SCRIPT | ANYTIME | BUSY | NO_MULTI, NONE, transactions::multi),
    command("exec", 1, NO_SCRIPT | ANYTIME | AT_ONCE, NONE, transactions::exec),
    command("discard", 1, NO_SCRIPT | ANYTIME | BUSY | AT_ONCE, NONE, transactions::discard),
    command("watch", -2, NO_SCRIPT | ANYTIME | BUSY | NO_MULTI, ALL, transactions::watch),
    command("unwatch", 1, NO_SCRIPT | ANYTIME | BUSY, NONE, transactions::unwatch),
    command("eval", -3, NO_SCRIPT | STALE | MAY_WRITE, NONE, scripting::eval),
    command("evalsha", -3, NO_SCRIPT | STALE | MAY_WRITE, NONE, scripting::eval_hash),
    family("script"),
    command("script|load", 3, NO_SCRIPT | STALE, NONE, scripting::load),
    command("script|exists", -3, NO_SCRIPT, NONE, scripting::exist),
    command("script|flush", -2, NO_SCRIPT, NONE, scripting::flush),
    command("publish", 3, ANYTIME | MAY_WRITE, NONE, pubsub::publish),
    command("spublish", 3, ANYTIME | MAY_WRITE, NONE, pubsub::publish_sharded),
    command("subscribe", -2, NO_SCRIPT | ANYTIME | LISTENING | PUSHES, NONE, pubsub::subscribe),
    command("unsubscribe", -1, NO_SCRIPT | ANYTIME | LISTENING | PUSHES, NONE, pubsub::unsubscribe),
    command("psubscribe", -2, NO_SCRIPT | ANYTIME | LISTENING | PUSHES, NONE, pubsub::subscribe_pattern),
    command("punsubscribe", -1, NO_SCRIPT | ANYTIME | LISTENING | PUSHES, NONE, pubsub::unsubscribe_pattern),
    command("ssubscribe", -2, NO_SCRIPT | ANYTIME | LISTENING | PUSHES, NONE, pubsub::subscribe_sharded),
    command("sunsubscribe", -1, NO_SCRIPT | ANYTIME | LISTENING | PUSHES, NONE, pubsub::unsubscribe_sharded),
    family("pubsub"),
    command("pubsub|numsub", -2, ANYTIME, NONE, pubsub::count),
    command("pubsub|shardnumsub", -2, ANYTIME, NONE, pubsub::count_sharded),
];
