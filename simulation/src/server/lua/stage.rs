//! The server while a script runs on it, and what the script has it do.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Value};

use super::script::Script;
use super::values;
use crate::server::condition::{Condition, Role};
use crate::server::dispatch::{OUT_OF_MEMORY, READONLY};
use crate::server::instance::Server;
use crate::server::numbers;
use crate::server::reply::{Refused, Reply, Resp};
use crate::server::table::{self, Caller, Command, Found};
use crate::server::words::Words;

/// A server on which a script runs.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) caller: Caller,
    pub(super) script: Arc<Script>,
    /// The script has written, and so is not stopped any more.
    pub(super) has_written: bool,
    pub(super) words: Words,
    /// The keys that the script was called with, where the connection is told of changes.
    pub(super) keys: Vec<Vec<u8>>,
}

impl Stage {
    /// Carries out a command: what it answers, or the error that it answers.
    pub(super) fn call(
        &mut self,
        lua: &Lua,
        arguments: &MultiValue,
    ) -> mlua::Result<Result<Value, Refused>> {
        let mut words = std::mem::take(&mut self.words);
        let reply = self.reply(arguments, &mut words);
        self.words = words;
        Ok(match reply {
            Ok(Reply::Error(error)) => Err(Refused(error)),
            Ok(reply) => Ok(values::to_lua(lua, reply)?),
            Err(refused) => Err(refused),
        })
    }

    fn reply(&mut self, arguments: &MultiValue, words: &mut Words) -> Result<Reply, Refused> {
        let flavour = self.server.flavour();
        let by_flavour = |redis: &'static str, valkey: &'static str| {
            Refused::from(if flavour.is_valkey() { valkey } else { redis })
        };
        if arguments.is_empty() {
            return Err(by_flavour(
                "ERR Please specify at least one argument for this redis lib call",
                "ERR Please specify at least one argument for this call",
            ));
        }
        words.clear();
        for argument in arguments {
            match argument {
                Value::String(text) => words.push(&text.as_bytes()),
                #[allow(clippy::cast_precision_loss)] // Lua 5.1 has no other numbers
                Value::Integer(number) => {
                    words.push(numbers::argument(*number as f64, flavour).as_bytes());
                }
                Value::Number(number) => {
                    words.push(numbers::argument(*number, flavour).as_bytes());
                }
                _ => {
                    return Err(by_flavour(
                        "ERR Lua redis lib command arguments must be strings or integers",
                        "ERR Command arguments must be strings or integers",
                    ));
                }
            }
        }
        let Found::Command(command) = table::find(words) else {
            return Err(by_flavour(
                "ERR Unknown Redis command called from script",
                "ERR Unknown command called from script",
            ));
        };
        if !command.takes(words.len()) {
            return Err(by_flavour(
                "ERR Wrong number of args calling Redis command from script",
                "ERR Wrong number of args calling command from script",
            ));
        }
        // Redis lets scripts call it since 7.2.
        let is_too_new = command.name == "wait" && !flavour.is_valkey();
        if command.is(table::NO_SCRIPT) || is_too_new {
            return Err(by_flavour(
                "ERR This Redis command is not allowed from script",
                "ERR This Valkey command is not allowed from script",
            ));
        }
        self.check(command)?;
        let database = self.server.connection(self.caller.id).database;
        let caller = Caller {
            database,
            // Whatever the client speaks.
            resp: Resp::Two,
            is_inner: true,
            ..self.caller
        };
        if flavour.is_valkey() {
            return Ok(self.server.call(command, caller, words));
        }
        let reply = self.server.carry_out(command, caller, words);
        if command.is(table::READ) {
            // Redis notes the keys of the script instead, until 7.2.
            self.server.track(self.keys.iter().map(Vec::as_slice));
        }
        Ok(reply)
    }

    /// Whether the server lets the script carry this out.
    fn check(&mut self, command: &Command) -> Result<(), Refused> {
        let flags = self.script.flags;
        if command.is(table::WRITE) {
            if flags.is_read_only {
                return Err("ERR Write commands are not allowed from read-only scripts.".into());
            }
            if self.server.role != Role::Master {
                return Err(READONLY.into());
            }
            if !self.has_written
                && let Some(words) = self.server.unwritable()
            {
                return Err(words);
            }
        }
        let is_out_of_memory = self.server.condition == Condition::OutOfMemory;
        if is_out_of_memory && !self.has_written && !flags.allows_oom && command.is(table::GROWS) {
            return Err(OUT_OF_MEMORY.into());
        }
        self.has_written |= command.is(table::WRITE);
        Ok(())
    }
}
