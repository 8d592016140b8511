//! What each command does.
#![allow(clippy::unnecessary_wraps)] // the table calls all of them alike

pub(super) mod client;
pub(super) mod info;
pub(super) mod keys;
pub(super) mod pubsub;
pub(super) mod scripting;
pub(super) mod sorted_sets;
pub(super) mod strings;
pub(super) mod transactions;

use super::numbers;
use super::reply::Refused;
use super::words::Words;

pub(super) const SYNTAX: &str = "ERR syntax error";
const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// A word that is a whole number.
fn integer(words: &Words, index: usize) -> Result<i64, Refused> {
    numbers::integer(&words[index]).ok_or_else(|| NOT_AN_INTEGER.into())
}
