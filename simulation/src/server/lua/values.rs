//! Replies as Lua sees them, and what a script returns as a reply.

use std::borrow::Cow;

use mlua::{Lua, Table, Value};

use crate::server::reply::Reply;

/// What a script sees of a reply.
pub(super) fn to_lua(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    Ok(match reply {
        // Lua 5.1 has no other numbers.
        #[allow(clippy::cast_precision_loss)]
        Reply::Int(number) => Value::Number(number as f64),
        Reply::Bulk(text) => Value::String(lua.create_string(text)?),
        Reply::Null | Reply::NullArray | Reply::Nothing => Value::Boolean(false),
        Reply::Status(words) => one(lua, "ok", &words)?,
        Reply::Error(words) => one(lua, "err", &words)?,
        Reply::Verbatim(text) => Value::String(lua.create_string(text)?),
        Reply::Double(number) => {
            // The scripts of RESP2 see doubles as texts; both servers write those of whole numbers alike.
            let text = crate::server::numbers::score(number, crate::server::Flavour::Valkey9);
            Value::String(lua.create_string(text)?)
        }
        Reply::Array(items) => list(lua, items)?,
        Reply::Map(pairs) => {
            let flat = pairs.into_iter().flat_map(|(key, value)| [key, value]);
            list(lua, flat.collect())?
        }
    })
}

/// A table with one field, as scripts see errors and statuses.
pub(super) fn one(lua: &Lua, field: &str, words: &[u8]) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(field, lua.create_string(words)?)?;
    Ok(Value::Table(table))
}

fn list(lua: &Lua, items: Vec<Reply>) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(items.len(), 0)?;
    for (index, item) in items.into_iter().enumerate() {
        table.raw_set(index + 1, to_lua(lua, item)?)?;
    }
    Ok(Value::Table(table))
}

/// What is answered to a script that returned this.
pub(super) fn to_reply(value: &Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => Reply::Int(*number),
        Value::Number(number) => Reply::Int(truncated(*number)),
        Value::Boolean(true) => Reply::Int(1),
        Value::Table(table) => of_table(table)?,
        _ => Reply::Null,
    })
}

/// As the conversion of C does on usual machines.
#[allow(clippy::cast_possible_truncation)]
fn truncated(number: f64) -> i64 {
    const MOST: f64 = 9_223_372_036_854_775_808.0;
    if (-MOST..MOST).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

fn of_table(table: &Table) -> mlua::Result<Reply> {
    if let Value::String(words) = table.raw_get("err")? {
        return Ok(Reply::Error(Cow::Owned(words.as_bytes().to_vec())));
    }
    if let Value::String(words) = table.raw_get("ok")? {
        return Ok(Reply::Status(Cow::Owned(words.as_bytes().to_vec())));
    }
    match table.raw_get("double")? {
        Value::Number(number) => return Ok(Reply::Double(number)),
        #[allow(clippy::cast_precision_loss)] // it was one
        Value::Integer(number) => return Ok(Reply::Double(number as f64)),
        _ => {}
    }
    let mut items = Vec::new();
    loop {
        match table.raw_get(items.len() + 1)? {
            Value::Nil => return Ok(Reply::Array(items)),
            item => items.push(to_reply(&item)?),
        }
    }
}
