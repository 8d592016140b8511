//! The interpreter of a thread: what scripts see, and what was compiled.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use mlua::{ChunkMode, Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};

use super::script::{self, Script};
use super::stage::Stage;
use super::values;
use crate::server::instance::Server;
use crate::server::reply::{Refused, Reply};
use crate::server::table::Caller;
use crate::server::words::Words;

/// As error messages name scripts.
const CHUNK: &str = "@user_script";

/// By how many percent of what is in use the memory of Lua grows until what nobody uses is looked for. It is a megabyte or two.
const GROWS_TO: i32 = 1_000;

/// Where the server is while a script runs.
type Slot = Rc<RefCell<Option<Stage>>>;

pub(super) struct Interpreter {
    lua: Lua,
    slot: Slot,
    environment: Table,
    /// Where `KEYS` and `ARGV` are.
    globals: Table,
    /// `xpcall`, and what it does with errors.
    guard: Function,
    handler: Function,
    compiled: RefCell<BTreeMap<[u8; 40], Function>>,
    /// What was hashed.
    hashes: RefCell<BTreeMap<Vec<u8>, [u8; 40]>>,
    words: RefCell<Words>,
}

/// The error of a command, on its way to whoever catches it.
#[derive(Debug)]
struct Raised(Vec<u8>);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for Raised {}

impl Interpreter {
    pub(super) fn new() -> Self {
        Self::build().expect("Lua and the sandbox are made of what is here")
    }

    fn build() -> mlua::Result<Self> {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        lua.gc_set_pause(GROWS_TO);
        let slot = Slot::default();
        let call = {
            let slot = slot.clone();
            lua.create_function(move |lua, arguments: MultiValue| {
                on_stage(&slot, |stage| stage.call(lua, &arguments))??
                    .map_err(|refused| mlua::Error::external(Raised(refused.0.into_owned())))
            })?
        };
        let try_call = {
            let slot = slot.clone();
            lua.create_function(move |lua, arguments: MultiValue| {
                match on_stage(&slot, |stage| stage.call(lua, &arguments))?? {
                    Ok(value) => Ok(value),
                    Err(refused) => values::one(lua, "err", &refused.0),
                }
            })?
        };
        let as_table = lua.create_function(|lua, failure: Value| match &failure {
            Value::Error(error) => values::one(lua, "err", &words_of(error)),
            _ => Ok(failure),
        })?;
        let random = {
            let slot = slot.clone();
            lua.create_function(move |_, bounds: MultiValue| {
                on_stage(&slot, |stage| random(&mut stage.server, &bounds))?
            })?
        };
        let sha1hex = lua.create_function(|lua, text: mlua::String| {
            lua.create_string(script::hash(&text.as_bytes()))
        })?;
        let sandbox = lua.load(include_str!("sandbox.lua")).set_name("=sandbox");
        let (environment, globals): (Table, Table) =
            sandbox.call((call, try_call, as_table, random, sha1hex))?;
        Ok(Self {
            slot,
            environment,
            globals,
            guard: lua.globals().get("xpcall")?,
            handler: lua.create_function(located)?,
            compiled: RefCell::default(),
            hashes: RefCell::default(),
            words: RefCell::default(),
            lua,
        })
    }

    /// What a script of this text is called by. Each server of the thread asks for the same few.
    pub(super) fn hash(&self, text: &[u8]) -> [u8; 40] {
        if let Some(hash) = self.hashes.borrow().get(text) {
            return *hash;
        }
        let hash = script::hash(text);
        self.hashes.borrow_mut().insert(text.to_vec(), hash);
        hash
    }

    /// The function that a script is.
    pub(super) fn compiled(&self, script: &Script) -> Result<Function, Refused> {
        if let Some(function) = self.compiled.borrow().get(&script.hash) {
            return Ok(function.clone());
        }
        let chunk = self.lua.load(script.body());
        let chunk = chunk.set_name(CHUNK).set_mode(ChunkMode::Text);
        let chunk = chunk.set_environment(self.environment.clone());
        let function = chunk.into_function().map_err(|error| {
            let words = match &error {
                mlua::Error::SyntaxError { message, .. } => message.clone(),
                other => other.to_string(),
            };
            format!("ERR Error compiling script (new function): {words}")
        })?;
        self.compiled
            .borrow_mut()
            .insert(script.hash, function.clone());
        Ok(function)
    }

    /// Runs a script on a server.
    pub(super) fn run(
        &self,
        server: &mut Server,
        caller: Caller,
        script: &Arc<Script>,
        words: &Words,
        keys: usize,
    ) -> Result<Reply, Refused> {
        const FIRST: usize = 3;
        let function = self.compiled(script)?;
        let broken = |error: mlua::Error| Refused::from(format!("ERR {error}"));
        self.set("KEYS", words, FIRST..FIRST + keys)
            .map_err(broken)?;
        self.set("ARGV", words, FIRST + keys..words.len())
            .map_err(broken)?;
        let database = server.connection(caller.id).database;
        let tracked = if server.is_tracking() { keys } else { 0 };
        let keys = words.from(FIRST).take(tracked).map(<[u8]>::to_vec);
        let keys = keys.collect();
        *self.slot.borrow_mut() = Some(Stage {
            keys,
            server: std::mem::take(server),
            caller,
            script: script.clone(),
            has_written: false,
            words: self.words.take(),
        });
        let ended = self.guard.call::<(bool, Value)>((function, &self.handler));
        let stage = self.slot.borrow_mut().take();
        if let Some(stage) = stage {
            *server = stage.server;
            *self.words.borrow_mut() = stage.words;
        }
        // A SELECT counts within the script.
        server.connection(caller.id).database = database;
        match ended.map_err(broken)? {
            (true, value) => values::to_reply(&value).map_err(broken),
            (false, failure) => Err(told(server, script, &failure)),
        }
    }

    fn set(&self, name: &str, words: &Words, range: std::ops::Range<usize>) -> mlua::Result<()> {
        let table = self.lua.create_table_with_capacity(range.len(), 0)?;
        for (index, word) in range.enumerate() {
            table.raw_set(index + 1, self.lua.create_string(&words[word])?)?;
        }
        self.globals.raw_set(name, table)
    }
}

/// Does something with the server on which the script runs.
fn on_stage<T>(slot: &Slot, what: impl FnOnce(&mut Stage) -> T) -> mlua::Result<T> {
    match slot.borrow_mut().as_mut() {
        Some(stage) => Ok(what(stage)),
        None => Err(mlua::Error::runtime("no script runs")),
    }
}

/// What is said of an error that came out of Rust.
fn words_of(error: &mlua::Error) -> Vec<u8> {
    match error {
        mlua::Error::CallbackError { cause, .. } => words_of(cause),
        other => match other.downcast_ref::<Raised>() {
            Some(Raised(words)) => words.clone(),
            None => format!("ERR {other}").into_bytes(),
        },
    }
}

/// An error that nobody caught, as a table with the line in which it arose.
fn located(lua: &Lua, failure: Value) -> mlua::Result<Value> {
    let table = match failure {
        Value::Table(table) => table,
        Value::Error(error) => {
            let table = lua.create_table()?;
            table.raw_set("err", lua.create_string(words_of(&error))?)?;
            table
        }
        other => {
            let mut words = b"ERR ".to_vec();
            words.extend_from_slice(other.to_string()?.as_bytes());
            let table = lua.create_table()?;
            table.raw_set("err", lua.create_string(words)?)?;
            table
        }
    };
    // The first function of the script's own, from the inside.
    let mut level = 1;
    while let Some(line) = lua.inspect_stack(level, |frame| {
        let source = frame.source().source;
        (source.as_deref() == Some(CHUNK)).then(|| frame.current_line())
    }) {
        if let Some(line) = line {
            table.raw_set("line", line)?;
            break;
        }
        level += 1;
    }
    Ok(Value::Table(table))
}

/// What the client is told of an error that nobody caught.
fn told(server: &Server, script: &Script, failure: &Value) -> Refused {
    let field = |name: &str| {
        let table = failure.as_table()?;
        table.raw_get::<Value>(name).ok()
    };
    let mut words = match field("err") {
        Some(Value::String(words)) => words.as_bytes().to_vec(),
        _ => b"ERR unknown error".to_vec(),
    };
    if let Some(Value::Integer(line)) = field("line") {
        let hash = String::from_utf8_lossy(&script.hash);
        let named = if server.flavour().is_valkey() {
            String::new()
        } else {
            format!("{hash}, ")
        };
        words.extend_from_slice(format!(" script: {named}on {CHUNK}:{line}.").as_bytes());
    }
    Refused(words.into())
}

/// `math.random`, by the random numbers of the server.
fn random(server: &mut Server, bounds: &MultiValue) -> mlua::Result<f64> {
    const STEPS: usize = 1 << 31;
    let bound = |index: usize| bounds.get(index).and_then(Value::as_number);
    #[allow(clippy::cast_precision_loss)] // both are exact
    let part = server.below(STEPS) as f64 / STEPS as f64;
    let (low, high) = match (bound(0), bound(1)) {
        (None, _) => return Ok(part),
        (Some(high), None) => (1.0, high),
        (Some(low), Some(high)) => (low, high),
    };
    if low > high {
        return Err(mlua::Error::runtime("interval is empty"));
    }
    Ok((part * (high - low + 1.0)).floor() + low)
}
