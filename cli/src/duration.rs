//! Durations, as people write and read them.

use std::fmt;
use std::time::Duration;

/// Reads `30s`, `500ms`, `5m`, `1h 30m`; a plain number counts seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed.ok_or_else(|| {
        "a duration is written as 500ms, 30s, 5m or 1h30m; a plain number counts seconds".to_owned()
    })
}

/// A duration that someone wrote, written out again.
pub(crate) struct Shown(pub(crate) Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// The time left of a lease, in a few characters: `24.3s`, `12m03s`, `5h07m`, `3d04h`; `-` where there is no end.
pub(crate) fn left(left: Option<Duration>) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let Some(left) = left else {
        return "-".to_owned();
    };
    match left.as_secs() {
        seconds if seconds < MINUTE => format!("{seconds}.{}s", left.subsec_millis() / 100),
        seconds if seconds < HOUR => format!("{}m{:02}s", seconds / MINUTE, seconds % MINUTE),
        seconds if seconds < DAY => format!("{}h{:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
        seconds => format!("{}d{:02}h", seconds / DAY, seconds % DAY / HOUR),
    }
}

/// The time left in seconds, for programs.
pub(crate) fn seconds(left: Duration) -> f64 {
    // Whole milliseconds: no digit more than the store says.
    #[allow(clippy::cast_precision_loss)] // 2^53 ms are 285,000 years
    let millis = left.as_millis() as f64;
    millis / 1000.0
}
