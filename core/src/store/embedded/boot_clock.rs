//! The clocks of an embedded store: the boot clock for leases, the wall clock for tokens and for what is left after a reboot.
//!
//! A lease's end is kept on the boot clock, which all processes of the machine share, which no change of the wall clock
//! moves, and which counts the time the machine was suspended. It begins anew with each boot. So the end is kept on the
//! wall clock too, and whoever first opens a store after a reboot sets every lease to what the wall clock says is left of
//! it: never less than nothing, never more than its TTL. A wall clock that jumps matters across a reboot only.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::clock::Moment;

/// Linux's random name of the current boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

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

/// Brings a store that was last used before a reboot up to date, in a transaction of the caller's.
pub(super) fn adopt(connection: &Connection, now: &Now) -> Result<()> {
    let boot = boot_id();
    let kept: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'boot'", [], |row| {
            row.get(0)
        })
        .optional()?;
    // Where boots have no names: no lease of this boot ends later than its TTL from now.
    let ahead: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM entries WHERE name <> '' AND expires > ?1 + ttl)",
        [now.boot_ms],
        |row| row.get(0),
    )?;
    if kept.as_deref() == Some(boot.as_str()) && !ahead {
        return Ok(());
    }
    if kept.is_some() {
        connection.execute(
            "UPDATE entries SET expires = ?1 + max(0, min(ttl, ends - ?2)) WHERE name <> ''",
            params![now.boot_ms, now.unix_ms()],
        )?;
        // Nobody waits across a reboot.
        connection.execute("DELETE FROM waiters", [])?;
    }
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('boot', ?1) ON CONFLICT DO UPDATE SET value = excluded.value",
        [boot],
    )?;
    Ok(())
}
