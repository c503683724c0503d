//! Excerpts of statements for the log. Nothing is parsed.

/// Shortens a statement to one line.
pub(crate) fn excerpt(statement: &str) -> String {
    const CHARS: usize = 200;
    let mut excerpt: String =
        statement.chars().map(|char| if char.is_control() { ' ' } else { char }).take(CHARS).collect();
    if excerpt.len() < statement.len() {
        excerpt.push_str("..");
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert!(excerpt(&"x".repeat(5000)).len() < 210);
    }
}
