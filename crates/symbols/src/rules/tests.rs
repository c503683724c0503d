//! Globs, names, stacks of real programs. Tests of `rules`.
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
    let stacks: [(Stack<'_>, usize); 16] = [
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
        (&[(PRELOAD, "malloc", ""), ("", "", ""), ("/usr/bin/node", "", ""), ("/srv/app/addon.node", "Init", "")], 3),
        (&[(PRELOAD, "malloc", ""), ("/srv/app (deleted)", "", "")], 1),
        // Stripped: the interpreter's own malloc has no name, and is the same for all objects.
        (
            &[
                (PRELOAD, "malloc", ""),
                ("/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1.2", "", ""),
                ("/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1.2", "rb_str_times", ""),
                ("/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1.2", "rb_vm_exec", ""),
            ],
            2,
        ),
        (&[(PRELOAD, "malloc", ""), ("/usr/bin/python3.11", "", ""), ("/usr/bin/python3.11", "", "")], 1),
        (&[(APP, "xmalloc", "xmalloc.c"), (APP, "xstrdup", "xmalloc.c"), (APP, "read_config", "conf.c")], 2),
        (
            &[
                (PRELOAD, "malloc", ""),
                ("/usr/bin/perl", "Perl_safesysmalloc", ""),
                ("/usr/bin/perl", "Perl_sv_grow", ""),
                ("/usr/bin/perl", "Perl_sv_setsv_flags", ""),
            ],
            3,
        ),
        (
            &[
                (PRELOAD, "malloc", ""),
                ("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "CRYPTO_zalloc", ""),
                ("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "OPENSSL_LH_new", ""),
            ],
            2,
        ),
    ];
    let rules = Rules::default();
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    for (stack, expected) in stacks {
        let kind = |(module, name, file): &(&'static str, &'static str, &'static str)| {
            (rules.kind(module, some(name), some(file)), !name.is_empty())
        };
        let kinds: Vec<(FrameKind, bool)> = stack.iter().map(kind).collect();
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
        "zmap",
        "palloc_report",
        "xmalloc_count",
        "operator_new_order(int)",
    ];
    for name in names {
        assert_eq!(Rules::default().kind("/opt/shop", Some(name), Some("shop.c")), FrameKind::Application, "{name}");
    }
}

/// A release build has names and no files.
#[test]
fn rust_without_debug_info() {
    let kind = |name| Rules::default().kind("/opt/shop", Some(name), None);
    let library = [
        "<u8 as alloc::slice::hack::ConvertVec>::to_vec",
        "<T as alloc::string::ToString>::to_string",
        "<&T as core::fmt::Debug>::fmt",
        "<[u8] as core::fmt::Debug>::fmt",
        "<str as alloc::borrow::ToOwned>::to_owned",
        "<[shop::Item]>::to_vec",
        "<alloc::vec::Vec<shop::Item>>::push",
        "alloc::raw_vec::RawVec<T,A>::grow_one",
        "core::ptr::drop_in_place<shop::Item>",
        "<alloc::vec::Vec<T> as alloc::vec::spec_from_iter::SpecFromIter<T,I>>::from_iter",
    ];
    library.into_iter().for_each(|name| assert_eq!(kind(name), FrameKind::Library, "{name}"));
    let users = [
        "shop::main",
        "<shop::Item as core::clone::Clone>::clone",
        "<a::B as core::fmt::Debug>::fmt",
        "<shop::Item>::new",
    ];
    users.into_iter().for_each(|name| assert_eq!(kind(name), FrameKind::Application, "{name}"));
}

#[test]
fn own_rules_come_first() {
    let rules = "app:/opt/vendor/*; runtime:mylib.so; library:boost::*; allocator:function=pool_*; app:file=/rustc/*";
    let rules = Rules::parse(rules).unwrap();
    let kinds = [
        (("/opt/vendor/libstdc++.so.6", None, None), FrameKind::Application),
        (("/usr/lib/mylib.so", Some("f"), None), FrameKind::Runtime),
        (("/opt/shop", Some("void boost::f<int>(int)"), None), FrameKind::Library),
        (("/opt/shop", Some("pool_get"), None), FrameKind::Allocator),
        (("/opt/pool_get", Some("main"), None), FrameKind::Application),
        (("/opt/shop", Some("core::f"), Some("/rustc/1/library/core/src/lib.rs")), FrameKind::Application),
        (("/opt/shop", Some("std::f()"), None), FrameKind::Library),
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
