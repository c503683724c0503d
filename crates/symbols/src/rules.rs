//! Which frames are not the user's own code: the allocator's, the language runtime's, a standard library's.
//!
//! The rules are one table (`rule_table`); a query may put its own before it. The first rule that matches decides, and what
//! none matches is the application's. Called by `catalog` for `app_frame`.
use std::fmt;

use crate::rule_table::TABLE;

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// malloc and its relations, and what samples them.
    Allocator,
    /// Start-up code, the loader, interpreters and virtual machines, what the compiler brings along.
    Runtime,
    /// The standard library of a language, C's and GLib included.
    Library,
    /// Everything else: the user's own code, and other libraries.
    Application,
}

/// What of a frame a rule is about.
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
    kind: Kind,
    field: Field,
    glob: String,
}

/// The table's rules, and a query's own before them.
#[derive(Default)]
pub struct Rules {
    extra: Vec<Rule>,
}

/// Text that is no rule.
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

/// Of the text of extra rules, and how many they may be: they are matched against every frame.
const EXTRA_BYTES: usize = 16 << 10;
const EXTRA_RULES: usize = 256;

impl Rules {
    /// `extra`: rules separated by ";" or line ends, each KIND:GLOB or KIND:FIELD=GLOB. In a glob `*` stands for any
    /// characters and `?` for one.
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

    /// Whose code that is. `function` as `Frame` has it, demangled.
    pub fn kind(&self, module_path: &str, function: Option<&str>, file: Option<&str>) -> Kind {
        let path = module_path.strip_suffix(" (deleted)").unwrap_or(module_path);
        let frame = Described {
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
        if path.is_empty() && function.is_none() { Kind::Runtime } else { Kind::Application }
    }

    /// Of the frames of a stack, innermost first, the one that is the user's own: the first of the application; if there is
    /// none, the first that is not the allocator's; if there is none, the first. None: there are no frames.
    pub fn app_frame(kinds: impl IntoIterator<Item = Kind>) -> Option<usize> {
        let (mut first, mut other) = (None, None);
        for (at, kind) in kinds.into_iter().enumerate() {
            first.get_or_insert(at);
            match kind {
                Kind::Application => return Some(at),
                Kind::Allocator => {}
                Kind::Runtime | Kind::Library => drop(other.get_or_insert(at)),
            }
        }
        other.or(first)
    }
}

struct Described<'a> {
    path: &'a str,
    module: &'a str,
    name: &'a str,
    file: &'a str,
}

impl Described<'_> {
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
        "app" | "application" => Kind::Application,
        "library" => Kind::Library,
        "runtime" => Kind::Runtime,
        "allocator" => Kind::Allocator,
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
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text) in
            [("*", ""), ("a*c", "abbc"), ("a?c", "abc"), ("*.so*", "libx.so.1"), ("a", "a"), ("*a*b*", "xaxbx")]
        {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("a", "ab"), ("a?", "a"), ("*.so", "libx.so.1"), ("", "a"), ("a*b*c", "acb")] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
        // Work that is a product, not a power.
        assert!(!matches(&"*a".repeat(1000), &"a".repeat(999)));
    }

    #[test]
    fn names_without_types() {
        let names = [
            ("void std::sort<int*>(int*, int*)", "std::sort<int*>"),
            ("std::enable_if<true, int>::type app::f<int>(int)", "app::f<int>"),
            ("app::(anonymous namespace)::g(int)", "app::(anonymous namespace)::g"),
            ("(anonymous namespace)::g(int)", "(anonymous namespace)::g"),
            ("std::ostream& operator<< <int>(std::ostream&, X<int>)", "operator<< <int>(std::ostream&, X<int>)"),
            ("operator new(unsigned long)", "operator new(unsigned long)"),
            ("app::X::operator()(int) const", "app::X::operator()(int) const"),
            ("<app::Foo as core::fmt::Display>::fmt", "<app::Foo as core::fmt::Display>::fmt"),
            ("alloc::vec::Vec<u8>::push", "alloc::vec::Vec<u8>::push"),
            ("std::function<void (int)>::operator()(int) const", "std::function<void (int)>::operator()(int) const"),
            ("main", "main"),
            ("operators(int)", "operators"),
            ("", ""),
        ];
        for (name, plain) in names {
            assert_eq!(plain_name(name), plain, "{name}");
        }
    }

    /// Stacks as the recorder sees them, innermost first: (module, function, file), and which is the user's own.
    #[test]
    fn first_frame_of_the_user() {
        const APP: &str = "/opt/shop/bin/shop";
        const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
        const PRELOAD: &str = "/tmp/heapql/libheapql_preload.so";
        type Stack<'a> = &'a [(&'a str, &'a str, &'a str)];
        let stacks: [(Stack<'_>, usize); 11] = [
            (&[(PRELOAD, "malloc", ""), (LIBC, "strdup", ""), (APP, "load_config", "conf.c"), (APP, "main", "")], 2),
            (
                &[
                    (APP, "operator new(unsigned long)", ""),
                    (
                        APP,
                        "std::__new_allocator<int>::allocate(unsigned long, void const*)",
                        "/usr/include/c++/12/bits/new_allocator.h",
                    ),
                    (APP, "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int*, int&&)", ""),
                    (APP, "__push_heap<shop::Item>", "/usr/include/c++/12/bits/stl_heap.h"),
                    (APP, "std::unique_ptr<shop::Basket> shop::fill<int>(int)", "shop.cpp"),
                ],
                4,
            ),
            (
                &[
                    (APP, "__rustc::__rust_alloc", ""),
                    (APP, "alloc::alloc::Global::alloc_impl", "/rustc/123/library/alloc/src/alloc.rs"),
                    (APP, "<u8 as alloc::slice::hack::ConvertVec>::to_vec", "/rustc/123/library/alloc/src/slice.rs"),
                    (APP, "<alloc::vec::Vec<u8> as core::clone::Clone>::clone", ""),
                    (APP, "<shop::Item as core::clone::Clone>::clone", "src/item.rs"),
                    (APP, "core::ops::function::FnOnce::call_once", ""),
                ],
                4,
            ),
            // The interpreter is not the user's; its extension is.
            (
                &[
                    (PRELOAD, "malloc", ""),
                    ("/usr/bin/python3.11", "PyObject_Malloc", ""),
                    ("/usr/bin/python3.11", "_PyEval_EvalFrameDefault", ""),
                    ("/usr/lib/python3/dist-packages/fast.cpython-311-x86_64-linux-gnu.so", "grow", ""),
                    ("/usr/bin/python3.11", "", ""),
                ],
                3,
            ),
            // Nothing of the user: the first that is not the allocator's.
            (
                &[
                    (PRELOAD, "malloc", ""),
                    ("/usr/bin/python3.11", "PyObject_Malloc", ""),
                    ("/usr/bin/python3.11", "PyList_Append", ""),
                    (LIBC, "__libc_start_main", ""),
                ],
                2,
            ),
            (&[(PRELOAD, "malloc", "")], 0),
            (
                &[
                    (PRELOAD, "malloc", ""),
                    ("/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0.7400.6", "g_malloc", ""),
                    ("/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0.7400.6", "g_strdup_printf", ""),
                    ("/usr/bin/evince", "", ""),
                ],
                3,
            ),
            (
                &[
                    ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "", ""),
                    ("/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30", "operator new(unsigned long)", ""),
                    (APP, "main", ""),
                ],
                2,
            ),
            (
                &[
                    (PRELOAD, "calloc", ""),
                    ("/lib64/ld-linux-x86-64.so.2", "_dl_allocate_tls", ""),
                    (LIBC, "pthread_create", ""),
                    (APP, "start_workers", ""),
                ],
                3,
            ),
            // Generated code, in no module.
            (
                &[
                    (PRELOAD, "malloc", ""),
                    ("", "", ""),
                    ("/usr/bin/node", "", ""),
                    ("/srv/app/addon.node", "Init", ""),
                ],
                3,
            ),
            (&[(PRELOAD, "malloc", ""), ("/srv/app (deleted)", "", "")], 1),
        ];
        let rules = Rules::default();
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        for (stack, expected) in stacks {
            let kinds: Vec<Kind> =
                stack.iter().map(|(module, name, file)| rules.kind(module, some(name), some(file))).collect();
            assert_eq!(Rules::app_frame(kinds.iter().copied()), Some(expected), "{stack:?}: {kinds:?}");
        }
        assert_eq!(Rules::app_frame([]), None);
    }

    #[test]
    fn names_that_only_look_alike_are_the_users() {
        let names = [
            "malloc_report",
            "freedom",
            "stdlib_init",
            "shop::std::f()",
            "core_init",
            "allocate(int)",
            "je_suis",
            "mi_app",
            "operator_new_order(int)",
        ];
        for name in names {
            assert_eq!(Rules::default().kind("/opt/shop", Some(name), Some("shop.c")), Kind::Application, "{name}");
        }
    }

    #[test]
    fn own_rules_come_first() {
        let rules =
            "app:/opt/vendor/*; runtime:mylib.so; library:boost::*; allocator:function=pool_*; app:file=/rustc/*";
        let rules = Rules::parse(rules).unwrap();
        let kinds = [
            (("/opt/vendor/libstdc++.so.6", None, None), Kind::Application),
            (("/usr/lib/mylib.so", Some("f"), None), Kind::Runtime),
            (("/opt/shop", Some("void boost::f<int>(int)"), None), Kind::Library),
            (("/opt/shop", Some("pool_get"), None), Kind::Allocator),
            (("/opt/pool_get", Some("main"), None), Kind::Application),
            (("/opt/shop", Some("core::f"), Some("/rustc/1/library/core/src/lib.rs")), Kind::Application),
            (("/opt/shop", Some("std::f()"), None), Kind::Library),
        ];
        for ((module, function, file), kind) in kinds {
            assert_eq!(rules.kind(module, function, file), kind, "{module} {function:?}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_is_right() {
        for (text, problem) in
            [("boost", "no kind"), ("mine:boost::*", "unknown"), ("app:", "nothing after"), ("app:file=", "nothing")]
        {
            let said = Rules::parse(text).err().unwrap().to_string();
            assert!(said.contains(problem) && said.contains(text) && said.contains("KIND:GLOB"), "{said}");
        }
        assert!(Rules::parse(&"app:x;".repeat(257)).is_err());
        assert!(Rules::parse(&"x".repeat(20_000)).is_err());
        assert!(Rules::parse(" ; \n").unwrap().extra.is_empty());
    }
}
