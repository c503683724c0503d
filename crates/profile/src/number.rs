//! Numbers as people read them: digits in groups, bytes with their binary unit.
//!
//! Used by the pictures' texts; formats that programs read have plain digits.

/// `1,234,567`, rounded to a whole number.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0.0 && digits != "0" {
        text.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3 MiB`, `512 bytes`.
pub(crate) fn bytes(number: f64) -> String {
    let mut size = number.abs();
    let mut unit = "bytes";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    let sign = if number < 0.0 { "-" } else { "" };
    if unit == "bytes" { format!("{sign}{size:.0} {unit}") } else { format!("{sign}{size:.1} {unit}") }
}

/// A number of bytes, or a count.
pub(crate) fn shown(number: f64, is_bytes: bool) -> String {
    if is_bytes { bytes(number) } else { grouped(number) }
}

/// `12.34%`; a part of nothing is 0%.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
    format!("{share:.2}%")
}
