//! Amounts of data and of time, as people read them.

use std::time::Duration;

/// Bytes in the unit that fits them.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut left = count as f64 / 1000.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if left < 999.95 {
            break;
        }
        left /= 1000.0;
        unit = larger;
    }
    format!("{left:.1} {unit}")
}

/// A duration in the unit that fits it.
pub(super) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let trimmed = |number: String, unit| {
        let number = number.strip_suffix(".0").unwrap_or(&number);
        format!("{number} {unit}")
    };
    match seconds {
        _ if seconds >= 2.0 * 86_400.0 => trimmed(format!("{:.1}", seconds / 86_400.0), "days"),
        _ if seconds >= 2.0 * 3_600.0 => trimmed(format!("{:.1}", seconds / 3_600.0), "hours"),
        _ if seconds >= 120.0 => trimmed(format!("{:.1}", seconds / 60.0), "minutes"),
        _ if seconds >= 1.0 => trimmed(format!("{seconds:.1}"), "s"),
        _ if seconds >= 0.01 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{:.2} ms", seconds * 1e3),
    }
}
