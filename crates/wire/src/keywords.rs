//! The first keywords of a statement, by which SHOW WARNINGS is told from statements that have warnings of their own, and by which
//! PostgreSQL's command tags are chosen. Parsing is the session's.

/// Statements that report on the one before leave its warnings alone and have none themselves.
pub(crate) fn is_diagnostic(statement: &str) -> bool {
    let mut words = words(statement);
    let verb = words.next().unwrap_or_default();
    let object = words.next().unwrap_or_default();
    verb.eq_ignore_ascii_case("show")
        && ["warnings", "errors", "count"].iter().any(|word| object.eq_ignore_ascii_case(word))
}

/// PostgreSQL's command tag for a statement with rows, or None if the tag counts the rows.
pub(crate) fn tag_without_count(statement: &str) -> Option<&'static str> {
    let verb = words(statement).next().unwrap_or_default();
    ["SHOW", "EXPLAIN"].into_iter().find(|tag| verb.eq_ignore_ascii_case(tag))
}

/// The prepared statement that DEALLOCATE names, `Some(None)` for all of them, and None for another statement. Prepared statements
/// belong to the protocol, so the engine never sees this one.
pub(crate) fn deallocate(statement: &str) -> Option<Option<String>> {
    let rest = after_comments(statement).trim_end_matches([';', ' ', '\n', '\t']);
    let mut words = rest.split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("deallocate") {
        return None;
    }
    let mut name = words.next()?;
    if name.eq_ignore_ascii_case("prepare") {
        name = words.next()?;
    }
    if words.next().is_some() {
        return None;
    }
    Some(match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => Some(quoted.replace("\"\"", "\"")),
        None if name.eq_ignore_ascii_case("all") => None,
        None => Some(name.to_ascii_lowercase()),
    })
}

/// Shortens a statement to one line for the log.
pub(crate) fn excerpt(statement: &str) -> String {
    const CHARS: usize = 200;
    let mut excerpt: String =
        statement.chars().map(|char| if char.is_control() { ' ' } else { char }).take(CHARS).collect();
    if excerpt.len() < statement.len() {
        excerpt.push_str("..");
    }
    excerpt
}

fn words(statement: &str) -> impl Iterator<Item = &str> {
    after_comments(statement)
        .split(|char: char| !(char.is_alphanumeric() || char == '_'))
        .filter(|word| !word.is_empty())
}

fn after_comments(statement: &str) -> &str {
    let mut rest = statement.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix('#') {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*").filter(|text| !text.starts_with('!')) {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            return rest;
        };
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_behind_comments() {
        assert!(is_diagnostic("show  warnings"));
        assert!(is_diagnostic("/* a */ -- b\n SHOW COUNT(*) WARNINGS"));
        assert!(is_diagnostic("SHOW ERRORS LIMIT 1"));
        assert!(!is_diagnostic("SHOW TABLES"));
        assert!(!is_diagnostic("SELECT 'show warnings'"));
        assert!(!is_diagnostic("-- only a comment"));
        assert_eq!(tag_without_count("\n explain select 1"), Some("EXPLAIN"));
        assert_eq!(tag_without_count("SELECT 1"), None);
    }

    #[test]
    fn reads_deallocate() {
        assert_eq!(deallocate("DEALLOCATE ALL;"), Some(None));
        assert_eq!(deallocate("deallocate prepare S_1"), Some(Some("s_1".to_owned())));
        assert_eq!(deallocate("DEALLOCATE \"S_1\""), Some(Some("S_1".to_owned())));
        assert_eq!(deallocate("DEALLOCATE"), None);
        assert_eq!(deallocate("SELECT 1"), None);
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert!(excerpt(&"x".repeat(5000)).len() < 210);
    }
}
