//! Lua: one interpreter for all servers of a thread.

mod interpreter;
mod script;
mod stage;
mod values;

use std::sync::Arc;

use self::interpreter::Interpreter;
pub(super) use self::script::Script;
use super::condition::Role;
use super::dispatch::MASTER_DOWN;
use super::instance::Server;
use super::reply::{Refused, Reply};
use super::table::Caller;
use super::words::Words;

thread_local! {
    static INTERPRETER: Interpreter = Interpreter::new();
}

/// Runs a script with the keys and arguments of an `EVAL` or `EVALSHA`.
pub(super) fn run(
    server: &mut Server,
    caller: Caller,
    script: &Arc<Script>,
    words: &Words,
    keys: usize,
) -> Result<Reply, Refused> {
    if server.is_stale() && !script.flags.allows_stale {
        return Err(MASTER_DOWN.into());
    }
    if script.flags.is_flagged && server.role != Role::Master && !script.flags.is_read_only {
        return Err("READONLY Can not run script with write flag on readonly replica.".into());
    }
    INTERPRETER.with(|interpreter| interpreter.run(server, caller, script, words, keys))
}

impl Server {
    /// Makes a script known, if it can be compiled.
    pub(super) fn load_script(&mut self, text: &[u8]) -> Result<Arc<Script>, Refused> {
        let hash = INTERPRETER.with(|interpreter| interpreter.hash(text));
        if let Some(script) = self.scripts.get(&hash) {
            return Ok(script.clone());
        }
        let script = Arc::new(Script::new(text, hash, self.flavour())?);
        INTERPRETER.with(|interpreter| interpreter.compiled(&script).map(drop))?;
        self.scripts.insert(hash, script.clone());
        Ok(script)
    }
}
