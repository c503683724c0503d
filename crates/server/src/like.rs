//! SQL's LIKE for answers made by hand: `%` any text, `_` any character, backslash takes the next one literally.

/// Whether the whole text is like the pattern. Linear in practice, never exponential: only the last `%` is retried.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern = parsed(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(Part::Any) => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(part) if part.takes(text[seen]) => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    at = after;
                    seen = from + 1;
                    retry = Some((after, seen));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|part| *part == Part::Any)
}

/// Whether the pattern asks for anything in particular, rather than being wildcards only.
pub fn names_something(pattern: &str) -> bool {
    pattern.starts_with('_') || parsed(pattern).iter().any(|part| matches!(part, Part::This(_)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    This(char),
}

impl Part {
    fn takes(self, char: char) -> bool {
        match self {
            Part::Any => false,
            Part::One => true,
            Part::This(wanted) => wanted == char,
        }
    }
}

fn parsed(pattern: &str) -> Vec<Part> {
    let mut chars = pattern.chars();
    let mut parts = Vec::new();
    while let Some(char) = chars.next() {
        parts.push(match char {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::This(chars.next().unwrap_or('\\')),
            other => Part::This(other),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cases() {
        let yes =
            [("%", ""), ("a%c", "abbc"), ("_min%", "_min_x"), ("_min%", "xmin"), (r"\_m", "_m"), ("%b%b%", "abcb")];
        let no = [("", "a"), ("a_", "a"), (r"\_m", "xm"), ("%ab", "abc"), ("a%b%c", "acb")];
        for (pattern, text) in yes {
            assert!(matches(pattern, text), "{text} LIKE {pattern}");
        }
        for (pattern, text) in no {
            assert!(!matches(pattern, text), "{text} NOT LIKE {pattern}");
        }
    }

    #[test]
    fn many_wildcards_end() {
        assert!(!matches(&"%a".repeat(200), &"b".repeat(2000)));
    }

    fn by_recursion(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('%', rest)), None) => by_recursion(rest, text),
            (Some(('%', rest)), Some((_, tail))) => by_recursion(rest, text) || by_recursion(pattern, tail),
            (Some(('_', rest)), Some((_, tail))) => by_recursion(rest, tail),
            (Some((wanted, rest)), Some((char, tail))) => wanted == char && by_recursion(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_the_definition(pattern in "[ab%_]{0,8}", text in "[ab]{0,8}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), by_recursion(&p, &t));
        }
    }
}
