//! Escaping: a name that a program chose never ends the string, the element or the line that it stands in.
//!
//! There is one function for each kind of place. Called by the formats for every text that comes from a profile.

/// Escapes text for XML and HTML, between elements and in attributes. Characters that XML cannot hold even as a reference
/// (most control characters, the two non-characters) become U+FFFD.
pub fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// JSON that can stand in an HTML script element: it has no `<`, so nothing in it ends the element or starts a comment.
pub(crate) fn in_script(json: &str) -> String {
    // Outside strings JSON has none of these characters, inside them an escape means the same.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Escapes the name of one frame of a folded line: `;` separates frames and a line ends the stack, so neither may stay.
pub(crate) fn folded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            ';' => safe.push(':'),
            c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => safe.push(' '),
            c => safe.push(c),
        }
    }
    if safe.trim().is_empty() { "[unknown]".to_owned() } else { safe }
}

/// The first characters, and dots if there are more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let end = text.char_indices().nth(most.saturating_sub(2)).map_or(0, |(at, _)| at);
            format!("{}..", &text[..end])
        }
    }
}
