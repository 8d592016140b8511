//! From bytes to commands: what may be carried out now, by whom, and what is refused.

use super::condition::{Condition, Role};
use super::connection::ConnId;
use super::instance::Server;
use super::reply::{Refused, Reply, Resp};
use super::requests::Next;
use super::table::{self, Caller, Command, Found};
use super::words::Words;

pub(super) const READONLY: &str = "READONLY You can't write against a read only replica.";
pub(super) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(super) const MASTER_DOWN: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
const TOO_FEW: &str = "NOREPLICAS Not enough good replicas to write.";

impl Server {
    /// Carries out what a connection has sent, as far as it goes now.
    pub(super) fn serve(&mut self, id: ConnId) {
        let mut words = std::mem::take(&mut self.words);
        while let Some(connection) = self.connections.get_mut(&id) {
            if connection.is_closing
                || connection.waiting.is_some()
                || connection.requests.is_empty()
            {
                break;
            }
            let before = connection.requests.position();
            match connection.requests.next(&mut words) {
                Next::Incomplete => break,
                Next::Garbage(what) => {
                    connection.is_closing = true;
                    let error = format!("ERR Protocol error: {what}");
                    self.write(id, &Reply::Error(error.into_bytes().into()));
                    break;
                }
                Next::Command => {}
            }
            if !self.process(id, &words) {
                self.connection(id).requests.rewind(before);
                break;
            }
        }
        self.words = words;
    }

    /// Carries out, queues or refuses a command; false: it is to be tried again after the pause.
    fn process(&mut self, id: ConnId, words: &Words) -> bool {
        let command = match self.checked(id, words) {
            Ok(command) => command,
            Err((command, refused)) => {
                self.refuse(id, command, refused);
                return true;
            }
        };
        if self.is_paused_for(id, command) {
            return false;
        }
        let connection = self.connection(id);
        if let Some(transaction) = &mut connection.transaction
            && !command.is(table::AT_ONCE | table::NO_MULTI)
        {
            transaction.commands.push((command, words.clone()));
            self.write(id, &Reply::status("QUEUED"));
            return true;
        }
        let (database, resp) = (connection.database, connection.resp);
        self.current = Some(id);
        let caller = Caller {
            id,
            database,
            resp,
            is_inner: false,
        };
        let before = self.offset;
        let reply = self.call(command, caller, words);
        self.write(id, &reply);
        self.current = None;
        let offset = self.offset;
        if let Some(connection) = self.connections.get_mut(&id) {
            if offset != before {
                connection.written = offset;
            }
            let later = std::mem::take(&mut connection.later);
            connection.output.extend_from_slice(&later);
            // The next command is watched, whatever it is; within a transaction, all of it.
            if connection.transaction.is_none() && !command.name.starts_with("client|") {
                connection.caching = false;
            }
        }
        true
    }

    /// Carries a command out, and notes what it has read.
    pub(super) fn call(
        &mut self,
        command: &'static Command,
        caller: Caller,
        words: &Words,
    ) -> Reply {
        let reply = self.carry_out(command, caller, words);
        if command.is(table::READ) {
            self.track(command.keys_of(words));
        }
        reply
    }

    /// Carries a command out.
    pub(super) fn carry_out(
        &mut self,
        command: &'static Command,
        caller: Caller,
        words: &Words,
    ) -> Reply {
        match (command.run)(self, caller, words) {
            Ok(reply) => reply,
            Err(refused) => refused.into(),
        }
    }

    /// The command, if it may be carried out.
    fn checked(
        &mut self,
        id: ConnId,
        words: &Words,
    ) -> Result<&'static Command, (Option<&'static Command>, Refused)> {
        let command = match table::find(words) {
            // Redis has it since 7.2.
            Found::Command(command)
                if command.name == "client|setinfo" && !self.flavour().is_valkey() =>
            {
                return Err((None, unknown_of("client", words)));
            }
            Found::Command(command) => command,
            Found::Unknown => return Err((None, unknown(words))),
            Found::UnknownOf(name) => return Err((None, unknown_of(name, words))),
        };
        let refused = |words: Refused| Err((Some(command), words));
        if !command.takes(words.len()) {
            let name = command.name;
            let error = format!("ERR wrong number of arguments for '{name}' command");
            return refused(error.into());
        }
        let flavour = self.flavour();
        let connection = self.connection(id);
        if !connection.is_logged_in && !command.is(table::NO_AUTH) {
            return refused("NOAUTH Authentication required.".into());
        }
        let only_listens = connection.only_listens() && connection.resp == Resp::Two;
        let may_write = match &connection.transaction {
            Some(transaction) if command.name == "exec" => transaction.has(table::WRITE),
            Some(_) if command.is(table::NO_MULTI) && flavour.is_valkey() => {
                let name = command.name;
                let error = format!("ERR Command '{name}' not allowed inside a transaction");
                return refused(error.into());
            }
            _ => command.is(table::WRITE),
        };
        let grows = match &connection.transaction {
            Some(transaction) if command.name == "exec" => transaction.has(table::GROWS),
            // Whatever is queued needs some.
            Some(_) if !flavour.is_valkey() => !command.is(table::AT_ONCE),
            _ => command.is(table::GROWS),
        };
        if self.condition == Condition::OutOfMemory && grows {
            return refused(OUT_OF_MEMORY.into());
        }
        // PING is for whoever asks whether it can be written to.
        let asks = command.name == "ping" && self.condition == Condition::CannotSave;
        if (may_write || asks)
            && let Some(words) = self.unwritable()
        {
            return refused(words);
        }
        if only_listens && !command.is(table::LISTENING) {
            let name = command.name;
            let error = format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            );
            return refused(error.into());
        }
        let is_known_there = flavour.is_valkey() && command.name == "script|exists";
        if self.is_stale() && !command.is(table::STALE) && !is_known_there {
            return refused(MASTER_DOWN.into());
        }
        if self.condition == Condition::Loading && !command.is(table::LOADING) {
            let name = self.flavour().name();
            return refused(format!("LOADING {name} is loading the dataset in memory").into());
        }
        let is_known_then =
            flavour.is_valkey() && matches!(command.name, "client|caching" | "select");
        if self.condition == Condition::Busy && !command.is(table::BUSY) && !is_known_then {
            let name = self.flavour().name();
            let words = format!(
                "BUSY {name} is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
            );
            return refused(words.into());
        }
        Ok(command)
    }

    /// Why it takes no writes.
    pub(super) fn unwritable(&self) -> Option<Refused> {
        match self.condition {
            Condition::CannotSave if self.role == Role::Master => {
                let name = self.flavour().name();
                return Some(format!(
                    "MISCONF {name} is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the {name} logs for details about the RDB error."
                ).into());
            }
            Condition::TooFewReplicas if self.role == Role::Master => return Some(TOO_FEW.into()),
            _ => {}
        }
        (self.role != Role::Master).then(|| READONLY.into())
    }

    pub(super) fn is_stale(&self) -> bool {
        matches!(
            self.role,
            Role::Replica {
                is_linked: false,
                serves_stale: false,
                ..
            }
        )
    }

    /// A transaction whose command is refused will be, too.
    fn refuse(&mut self, id: ConnId, command: Option<&Command>, refused: Refused) {
        let reply = if command.is_some_and(|it| it.name == "exec") {
            let mut words = b"EXECABORT Transaction discarded because of: ".to_vec();
            words.extend_from_slice(refused.0.strip_prefix(b"ERR ").unwrap_or(&refused.0));
            self.end_transaction(id);
            Reply::Error(words.into())
        } else {
            if let Some(transaction) = &mut self.connection(id).transaction {
                transaction.is_refused = true;
            }
            refused.into()
        };
        self.write(id, &reply);
        let connection = self.connection(id);
        let is_client = command.is_some_and(|it| it.name.starts_with("client|"));
        if connection.transaction.is_none() && !is_client {
            connection.caching = false;
        }
    }

    fn is_paused_for(&self, id: ConnId, command: &Command) -> bool {
        let Some(pause) = self.pause.filter(|pause| self.now < pause.until) else {
            return false;
        };
        let transaction = self
            .connections
            .get(&id)
            .and_then(|it| it.transaction.as_ref());
        let writes = table::WRITE | table::MAY_WRITE;
        let may_write = match transaction {
            Some(transaction) if command.name == "exec" => transaction.has(writes),
            Some(_) => false,
            None => command.is(writes),
        };
        if pause.is_of_writes {
            may_write
        } else {
            // Whoever paused it may end that.
            command.name != "client|unpause"
        }
    }
}

fn unknown(words: &Words) -> Refused {
    const LONGEST: usize = 128;
    let mut error = b"ERR unknown command '".to_vec();
    let name = &words[0];
    error.extend_from_slice(&name[..name.len().min(LONGEST)]);
    error.extend_from_slice(b"', with args beginning with: ");
    let mut shown = 0;
    for word in words.from(1) {
        if shown >= LONGEST {
            break;
        }
        let part = &word[..word.len().min(LONGEST - shown)];
        error.push(b'\'');
        error.extend_from_slice(part);
        error.extend_from_slice(b"' ");
        shown += part.len() + 3;
    }
    Refused(error.into())
}

fn unknown_of(name: &str, words: &Words) -> Refused {
    let own = String::from_utf8_lossy(words.get(1).unwrap_or_default());
    let own: String = own.chars().take(128).collect();
    let name = name.to_ascii_uppercase();
    format!("ERR unknown subcommand '{own}'. Try {name} HELP.").into()
}
