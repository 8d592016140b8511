//! Numbers as text, as each server reads and writes them.

use super::config::Flavour;

/// Reads a whole number, which must be written as the server would write it: no sign but a minus, no zero before others.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain = match digits {
        [b'0'] => text.len() == 1,
        [] | [b'0', ..] => false,
        _ => digits.iter().all(u8::is_ascii_digit),
    };
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// Reads a score.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// Writes a score.
pub(super) fn score(number: f64, flavour: Flavour) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if let Some(whole) = whole(number, 1e17) {
        return if whole == 0 && number.is_sign_negative() {
            "-0".to_owned()
        } else {
            whole.to_string()
        };
    }
    match flavour {
        Flavour::Valkey9 if (1e-5..1e21).contains(&number.abs()) => number.to_string(),
        _ => general(number),
    }
}

/// Writes a number of Lua that a command is called with.
pub(super) fn argument(number: f64, flavour: Flavour) -> String {
    let most = if flavour.is_valkey() { 9.2e18 } else { 1e17 };
    match whole(number, most) {
        Some(whole) => whole.to_string(),
        None => score(number, flavour),
    }
}

/// The number, if it is whole and below `most`.
#[allow(clippy::cast_possible_truncation)] // it is in range
fn whole(number: f64, most: f64) -> Option<i64> {
    (number.abs() < most && number.fract() == 0.0).then_some(number as i64)
}

/// `%.17g` of C.
fn general(number: f64) -> String {
    const DIGITS: i32 = 17;
    if !number.is_finite() {
        return number.to_string().to_ascii_lowercase();
    }
    let scientific = format!("{number:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
        return trimmed(&format!("{number:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// Without zeros behind the last digit of a fraction.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}
