//! Rules that tell the user's own frames from the allocator's, the language runtime's and a standard library's.
//!
//! The rules are one table (`rule_table`); a parameter may put others before it. The first rule that matches decides, and a
//! frame that none matches is the application's. The server asks it for `app_frame`.

use std::fmt;

use crate::rule_table::TABLE;

/// The owner of a frame's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// malloc and its relations, and the recorder.
    Allocator,
    /// Start-up code, the loader, interpreters and virtual machines, what the compiler brings along.
    Runtime,
    /// The standard library of a language, C's and GLib included.
    Library,
    /// Everything else: the user's own code, and other libraries.
    Application,
}

/// The property of a frame that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// The path of the module, or its last component.
    Module,
    /// The function's name without return type and parameters.
    Function,
    /// The source file.
    File,
    /// Any of these.
    Any,
}

struct Rule {
    kind: FrameKind,
    field: Field,
    glob: String,
}

/// The rules of the table, and extra ones before them.
#[derive(Default)]
pub struct Rules {
    extra: Vec<Rule>,
}

/// The error for a text that is no rule: the text, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    rule: String,
    problem: &'static str,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleError { rule, problem } = self;
        write!(
            f,
            "rule \"{rule}\": {problem}; rules are separated by \";\" and are \"KIND:GLOB\", \"KIND:module=GLOB\", \
             \"KIND:function=GLOB\" or \"KIND:file=GLOB\", KIND being app, library, runtime or allocator, e.g. \
             \"app:/opt/vendor/*; library:boost::*\""
        )
    }
}

impl std::error::Error for RuleError {}

/// Bound on the text of extra rules, which are matched against every frame.
const EXTRA_BYTES: usize = 16 << 10;
/// Bound on their number.
const EXTRA_RULES: usize = 256;

impl Rules {
    /// Reads extra rules, which are separated by ";" or line ends, each KIND:GLOB or KIND:FIELD=GLOB. In a glob `*` stands
    /// for any characters and `?` for one.
    pub fn parse(extra: &str) -> Result<Rules, RuleError> {
        if extra.len() > EXTRA_BYTES {
            return Err(error(extra, "more than 16 KiB of rules"));
        }
        let texts = extra.split([';', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let extra = texts.map(rule).collect::<Result<Vec<_>, _>>()?;
        match extra.get(EXTRA_RULES) {
            Some(rule) => Err(error(&rule.glob, "more than 256 rules")),
            None => Ok(Rules { extra }),
        }
    }

    /// The owner of a frame's code. `function` is the demangled name, as [`crate::SymbolFrame`] has it.
    pub fn kind(&self, module_path: &str, function: Option<&str>, file: Option<&str>) -> FrameKind {
        let path = module_path.strip_suffix(" (deleted)").unwrap_or(module_path);
        let frame = FrameDescription {
            path,
            module: path.rsplit('/').next().unwrap_or(path),
            name: function.map(plain_name).unwrap_or_default(),
            file: file.unwrap_or_default(),
        };
        if let Some(rule) = self.extra.iter().find(|rule| frame.matches(rule.field, &rule.glob)) {
            return rule.kind;
        }
        if let Some((kind, _, _)) = TABLE.iter().find(|(_, field, glob)| frame.matches(*field, glob)) {
            return *kind;
        }
        // Generated code: no module has it, and nothing has its name.
        if path.is_empty() && function.is_none() { FrameKind::Runtime } else { FrameKind::Application }
    }

    /// Chooses the frame that is the user's own, and returns its place in the stack. `frames` are the kind of each frame,
    /// innermost first, and whether its function has a name. `None` if there are no frames.
    ///
    /// It is the first frame of the application. If there is none, it is the first with a name that is not the allocator's,
    /// because in a stripped interpreter the first without a name is mostly its own malloc, the same for all stacks. If
    /// there is none with a name, it is the first that is not the allocator's, and else the first of all.
    pub fn app_frame(frames: impl IntoIterator<Item = (FrameKind, bool)>) -> Option<usize> {
        let (mut first, mut other, mut named) = (None, None, None);
        for (at, (kind, has_name)) in frames.into_iter().enumerate() {
            first.get_or_insert(at);
            match kind {
                FrameKind::Application => return Some(at),
                FrameKind::Allocator => {}
                FrameKind::Runtime | FrameKind::Library => {
                    other.get_or_insert(at);
                    if has_name {
                        named.get_or_insert(at);
                    }
                }
            }
        }
        named.or(other).or(first)
    }
}

struct FrameDescription<'a> {
    path: &'a str,
    module: &'a str,
    name: &'a str,
    file: &'a str,
}

impl FrameDescription<'_> {
    fn matches(&self, field: Field, glob: &str) -> bool {
        let any = |texts: &[&str]| texts.iter().any(|text| !text.is_empty() && matches(glob, text));
        match field {
            Field::Module => any(&[self.module, self.path]),
            Field::Function => any(&[self.name]),
            Field::File => any(&[self.file]),
            Field::Any => any(&[self.module, self.path, self.name, self.file]),
        }
    }
}

fn error(rule: &str, problem: &'static str) -> RuleError {
    RuleError { rule: rule.chars().take(80).collect(), problem }
}

fn rule(text: &str) -> Result<Rule, RuleError> {
    let (kind, rest) = text.split_once(':').ok_or_else(|| error(text, "no kind before a \":\""))?;
    let kind = match kind.trim() {
        "app" | "application" => FrameKind::Application,
        "library" => FrameKind::Library,
        "runtime" => FrameKind::Runtime,
        "allocator" => FrameKind::Allocator,
        _ => return Err(error(text, "the kind is unknown")),
    };
    let rest = rest.trim();
    let fields = [("module=", Field::Module), ("function=", Field::Function), ("file=", Field::File)];
    let named = fields.iter().find_map(|(name, field)| Some((*field, rest.strip_prefix(name)?)));
    let (field, glob) = named.unwrap_or((Field::Any, rest));
    if glob.trim().is_empty() {
        return Err(error(text, "nothing after the kind"));
    }
    Ok(Rule { kind, field, glob: glob.trim().to_owned() })
}

/// `*` is any characters, `?` is one. The last star is the only one gone back to: the work is the product of the lengths.
fn matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (g, t) = (g + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (g, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

/// The qualified name in a demangled C++ or Rust name: "std::sort<..>" of "void std::sort<..>(int*, int*)".
///
/// A return type ends at a space outside of all brackets, and the parameters begin at the first parenthesis that follows a
/// name. What comes after `operator` is a name, brackets and all.
pub(crate) fn plain_name(function: &str) -> &str {
    let text = function.as_bytes();
    let (mut start, mut depth) = (0, 0usize);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'o' if depth == 0 && is_operator(text, start, at) => return &function[start..],
            b'(' if depth == 0 && at > start && text[at - 1] != b':' => return &function[start..at],
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of a Rust function type is no bracket.
            b'>' if at > 0 && text[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    // "f() const" ended at its parenthesis; a name with blanks that is no C++ name stays whole.
    if start < text.len() { &function[start..] } else { function }
}

fn is_operator(text: &[u8], start: usize, at: usize) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (at == start || text[at - 1] == b':')
        && text[at..].starts_with(b"operator")
        && text.get(at + 8).is_some_and(|next| !word(*next))
}

#[cfg(test)]
mod tests;
