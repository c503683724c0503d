//! Demangled names of Rust (v0 and legacy) and C++ functions. Files choose names, so their length, the work on them and the
//! result are bounded. Called for every name by `debug_info`.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

/// Longer mangled names are shown as they are, cut.
const MANGLED_BYTES: usize = 16 << 10;
/// No demangled name is longer.
const NAME_BYTES: usize = 4 << 10;
const CUT: &str = "...";

/// Text up to a length; writing more is an error, which ends the demangler.
struct BoundedText(String);

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(cut_at(text, NAME_BYTES - self.0.len()));
        if self.0.len() + 4 > NAME_BYTES { Err(fmt::Error) } else { Ok(()) }
    }
}

fn cut_at(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The name as its author wrote it; a name that is not mangled, or not well, comes back as it is.
pub fn demangle(name: &str) -> String {
    // A version as in `memcpy@@GLIBC_2.14` is no part of the name.
    let plain = name.split_once('@').map_or(name, |(plain, _)| if plain.is_empty() { name } else { plain });
    if plain.len() <= MANGLED_BYTES
        && let Some(text) = rust(plain).or_else(|| cpp(plain)).or_else(|| qualified(plain))
    {
        return text;
    }
    if plain.len() > NAME_BYTES { format!("{}{CUT}", cut_at(plain, NAME_BYTES)) } else { plain.to_owned() }
}

fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut text = BoundedText(String::new());
    // The alternate form leaves the hash out.
    let complete = write!(text, "{demangled:#}").is_ok();
    Some(finish(text, complete))
}

fn cpp(name: &str) -> Option<String> {
    let start = ["_Z", "__Z", "___Z"].iter().any(|start| name.starts_with(start));
    let initialiser = name.starts_with("_GLOBAL_");
    if !start && !initialiser {
        return None;
    }
    let symbol = Symbol::new_with_options(name, &ParseOptions::default().recursion_limit(128)).ok()?;
    let mut text = BoundedText(String::new());
    let complete = symbol.structured_demangle(&mut text, &DemangleOptions::default().recursion_limit(128)).is_ok();
    if text.0.is_empty() { None } else { Some(finish(text, complete)) }
}

/// Operators whose return type is often an expression that cpp_demangle cannot read.
const OPERATORS: [(&str, &str); 14] = [
    ("eq", "operator=="),
    ("ne", "operator!="),
    ("lt", "operator<"),
    ("gt", "operator>"),
    ("le", "operator<="),
    ("ge", "operator>="),
    ("pl", "operator+"),
    ("mi", "operator-"),
    ("ng", "operator-"),
    ("ml", "operator*"),
    ("dv", "operator/"),
    ("ls", "operator<<"),
    ("rs", "operator>>"),
    ("aS", "operator="),
];

/// The qualified name at the start of a C++ name that cpp_demangle cannot read as a whole (it lacks parts of the grammar of
/// expressions, which std::swap's return type needs): "std::swap<...>", without template arguments and parameters.
fn qualified(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("_Z")?;
    rest = rest.strip_prefix('N').map_or(rest, |nested| nested.trim_start_matches(['r', 'V', 'K', 'R', 'O']));
    let mut parts: Vec<&str> = Vec::new();
    if let Some(after) = rest.strip_prefix("St") {
        parts.push("std");
        rest = after;
    }
    loop {
        rest = rest.strip_prefix('L').unwrap_or(rest);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(length) = rest[..digits].parse::<usize>() else { break };
        let part = rest.get(digits..digits.checked_add(length)?)?;
        parts.push(if part.starts_with("_GLOBAL__N") { "(anonymous namespace)" } else { part });
        rest = &rest[digits + length..];
    }
    if let Some((_, operator)) = OPERATORS.iter().find(|(code, _)| rest.starts_with(code)) {
        parts.push(operator);
        rest = &rest[2..];
    }
    let named = parts.last().is_some_and(|last| *last != "std");
    named.then(|| format!("{}{}", parts.join("::"), if rest.starts_with('I') { "<...>" } else { "" }))
}

fn finish(text: BoundedText, complete: bool) -> String {
    if complete { text.0 } else { text.0 + CUT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn rust_names_lose_their_hash() {
        assert_eq!(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangle("_RNvNtCs1234_7mycrate3foo3bar"), "mycrate::foo::bar");
    }

    #[test]
    fn cpp_names_have_their_parameters() {
        assert_eq!(
            demangle("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
        );
        assert_eq!(demangle("_Znwm"), "operator new(unsigned long)");
        let swap = "_ZSt4swapIN4shop4ItemEENSt9enable_ifIXsrSt6__and_IJSt6__not_ISt15__is_tuple_likeIT_EESt21is_move_\
                    constructibleIS6_ESt18is_move_assignableIS6_EEE5valueEvE4typeERS6_SG_";
        assert_eq!(demangle(swap), "std::swap<...>");
        let equal = "_ZSteqIcEN9__gnu_cxx11__enable_ifIXsrSt9__is_charIT_E7__valueEbE6__typeERKNSt7__cxx1112basic_string\
                     IS3_St11char_traitsIS3_ESaIS3_EEESE_";
        assert_eq!(demangle(equal), "std::operator==<...>");
        assert_eq!(demangle("_ZN12_GLOBAL__N_13app1fE!"), "(anonymous namespace)::app::f");
    }

    #[test]
    fn other_names_stay() {
        for name in ["main", "_start", "", "@plain", "_ZN", "日本"] {
            assert_eq!(demangle(name), name);
        }
        assert_eq!(demangle("memcpy@@GLIBC_2.14"), "memcpy");
    }

    /// Substitutions that double at each step, nesting without end, and plain length.
    #[test]
    fn hostile_names_end() {
        let doubling = format!(
            "_Z1fIiE{}",
            (0..200)
                .map(|i| format!(
                    "1xIS{}_S{}_E",
                    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars().nth(i % 36).unwrap(),
                    i % 10
                ))
                .collect::<String>()
        );
        let nested = format!("_Z1f{}i", "P".repeat(15_000));
        let templates = format!("_Z1f{}", "1aI".repeat(5_000));
        let rust = format!("_RNv{}3foo", "IC1aB2_".repeat(2_000));
        for name in [doubling, nested, templates, rust, "x".repeat(1 << 20), format!("_Z{}", "9".repeat(10_000))] {
            let start = Instant::now();
            assert!(demangle(&name).len() <= NAME_BYTES + CUT.len());
            assert!(start.elapsed() < Duration::from_secs(5), "{:.40}", name);
        }
    }
}
