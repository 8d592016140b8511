//! The clocks of an embedded store: the boot clock for leases, the wall clock for tokens and for what is left after a reboot.
//!
//! A lease's end is kept on the boot clock, which all processes of the machine share, which no change of the wall clock
//! moves, and which counts the time the machine was suspended. It begins anew with each boot. So the end is kept on the
//! wall clock too, and whoever first opens a store after a reboot sets every lease to what the wall clock says is left of
//! it: never less than nothing, never more than its TTL. A wall clock that jumps matters across a reboot only.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::sqlite_failure::{OpenError, refused};
use super::url::Location;
use crate::clock::Moment;

/// Linux's random name of the current boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// How far a time namespace sets clocks off: that of children, which after `exec` is the process's own.
const OFFSETS: &str = "/proc/self/timens_offsets";

/// The present, on both clocks.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) moment: Moment,
    /// Milliseconds since boot.
    pub(super) boot_ms: i64,
    /// Microseconds since 1970.
    pub(super) unix_us: i64,
}

impl Now {
    pub(super) fn read() -> Self {
        let moment = Moment::now();
        let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            moment,
            boot_ms: i64::try_from(moment.millis()).unwrap_or(i64::MAX),
            unix_us: i64::try_from(unix.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn unix_ms(&self) -> i64 {
        self.unix_us / 1000
    }
}

/// The name of the current boot; where there is none, every boot has the same.
fn boot_id() -> String {
    std::fs::read_to_string(BOOT_ID)
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// By how many nanoseconds a time namespace sets this process's boot clock off from the machine's. Two namespaces of one
/// offset share a clock. In one that a process has entered without `exec` its own offset cannot be told: it has that of the
/// namespace's number, which is nobody else's.
fn offset() -> String {
    let namespace = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).ok();
    let (own, of_children) = (namespace("time"), namespace("time_for_children"));
    if let (Some(own), Some(of_children)) = (&own, &of_children)
        && own != of_children
    {
        return own.display().to_string();
    }
    // Where there is no such file there are no time namespaces.
    let offsets = std::fs::read_to_string(OFFSETS).unwrap_or_default();
    let words = offsets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let nanos = words.into_iter().find_map(|words| match words[..] {
        ["boottime", seconds, nanos] => {
            let (seconds, nanos): (i128, i128) = (seconds.parse().ok()?, nanos.parse().ok()?);
            Some(seconds * 1_000_000_000 + nanos)
        }
        _ => None,
    });
    nanos.unwrap_or(0).to_string()
}

fn kept(connection: &Connection, key: &str) -> Result<Option<String>> {
    connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()
}

fn keep(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection
        .execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            [key, value],
        )
        .map(drop)
}

/// Brings a store that was last used before a reboot up to date, in a transaction of the caller's. Refused where processes
/// with another boot clock have used the store since the machine booted: no two of them would agree when a lease ends.
pub(super) fn adopt(
    connection: &Connection,
    location: &Location,
    now: &Now,
) -> Result<(), OpenError> {
    let (boot, offset) = (boot_id(), offset());
    let kept_boot = kept(connection, "boot")?;
    let of_this_boot = kept_boot.as_deref() == Some(boot.as_str());
    let kept_offset = kept(connection, "offset")?;
    if let (true, Some(other)) = (of_this_boot, &kept_offset)
        && *other != offset
    {
        return Err(OpenError::Refused(refused(format!(
            "the store {} is that of processes whose boot clock differs from this one's: they are in another time namespace \
             (their clock is set off by {other} ns, this one's by {offset}), and would not agree with this one when a lease \
             ends. Use it from within one time namespace, or a server for all (redis://…); if nobody uses it any more, \
             remove the file",
            location.address()
        ))));
    }
    if kept_offset.as_ref() != Some(&offset) {
        keep(connection, "offset", &offset)?;
    }
    // Where boots have no names: no lease of this boot ends later than its TTL from now.
    let ahead: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM entries WHERE name <> '' AND expires > ?1 + ttl)",
        [now.boot_ms],
        |row| row.get(0),
    )?;
    if of_this_boot && !ahead {
        return Ok(());
    }
    if kept_boot.is_some() {
        connection.execute(
            "UPDATE entries SET expires = ?1 + max(0, min(ttl, ends - ?2)) WHERE name <> ''",
            params![now.boot_ms, now.unix_ms()],
        )?;
        connection.execute(
            "UPDATE holders SET expires = ?1 + max(0, min(ttl, ends - ?2))",
            params![now.boot_ms, now.unix_ms()],
        )?;
        // Nobody waits across a reboot.
        connection.execute("DELETE FROM waiters", [])?;
    }
    Ok(keep(connection, "boot", &boot)?)
}
