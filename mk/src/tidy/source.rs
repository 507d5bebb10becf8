//! Checks on the tokens of Rust files, so that comments and strings are never
//! mistaken for code.

use super::Finding;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Folders whose crates may use `unsafe`; a test guest may do what it likes.
const UNSAFE: &[&str] = &["kernel/", "tests/", "xen/"];

/// Roots whose crate must forbid `unsafe`.
const SAFE_ROOTS: &[&str] = &[
    "apps/*/src/lib.rs",
    "devices/src/lib.rs",
    "devices/*/src/lib.rs",
    "docs/lib.rs",
    "mk/src/main.rs",
];

/// Files that may be different on Xen and elsewhere, beside crate roots.
const TARGET_FILES: &[&str] =
    &["devices/src/*/mod.rs", "kernel/src/*/mod.rs", "xen/src/hypercall.rs"];

/// The root of the crate that re-exports the others, the only one with Cargo features.
const FACADE: &str = "devices/xenith/src/lib.rs";

/// The one file that calls the hypervisor.
const HYPERCALL: &str = "xen/src/hypercall.rs";

/// The one folder that names smoltcp, of which only the parser of DNS messages is used.
const SMOLTCP: &str = "devices/ip/src/stack/";

/// Where page tables of user mode are made.
const USER_MODE: &str = "kernel/src/machine/xen/user/";

/// Checks a Rust file.
pub(crate) fn check(file: &str, content: &str) -> Vec<Finding> {
    let stream: TokenStream = match content.parse() {
        Ok(stream) => stream,
        Err(error) => return vec![Finding::new(file, None, format!("it is not Rust: {error}"))],
    };
    let mut findings = Vec::new();
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    if !has_inner(&tokens, &["doc"]) {
        let what = "the module has no documentation: begin it with `//!` and what it is for";
        findings.push(Finding::new(file, 1, what));
    }
    if matches(SAFE_ROOTS, file) && !has_inner(&tokens, &["forbid", "unsafe_code"]) {
        let what = "the crate does not forbid unsafe code: add `#![forbid(unsafe_code)]`";
        findings.push(Finding::new(file, 1, what));
    }
    walk(&tokens, &mut |tokens| {
        findings.extend(words(file, tokens));
        findings.extend(conditions(file, tokens));
    });
    findings
}

/// Whether `file` is one of `patterns`, in which `*` stands for one name.
fn matches(patterns: &[&str], file: &str) -> bool {
    patterns.iter().any(|pattern| {
        let (mut names, mut parts) = (file.split('/'), pattern.split('/'));
        loop {
            match (names.next(), parts.next()) {
                (None, None) => return true,
                (Some(_), Some("*")) => {}
                (Some(name), Some(part)) if name == part => {}
                _ => return false,
            }
        }
    })
}

/// Calls `look` with the tokens of every nesting level.
pub(super) fn walk(tokens: &[TokenTree], look: &mut impl FnMut(&[TokenTree])) {
    look(tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            walk(&group.stream().into_iter().collect::<Vec<_>>(), look);
        }
    }
}

/// Whether the file has an inner attribute that holds `words`, in this order.
fn has_inner(tokens: &[TokenTree], words: &[&str]) -> bool {
    tokens.windows(3).any(|window| {
        let [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group)] = window
        else {
            return false;
        };
        let mut found = Vec::new();
        idents(group.stream(), &mut found);
        hash.as_char() == '#'
            && bang.as_char() == '!'
            && found.starts_with(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    })
}

/// All identifiers in `stream`.
pub(super) fn idents(stream: TokenStream, to: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Ident(ident) => to.push(ident.to_string()),
            TokenTree::Group(group) => idents(group.stream(), to),
            _ => {}
        }
    }
}

/// Looks at single tokens.
fn words(file: &str, tokens: &[TokenTree]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let may_be_unsafe = UNSAFE.iter().any(|folder| file.starts_with(folder));
    // A host program holds no such instruction, but may speak of it.
    let may_call = file == HYPERCALL || file.starts_with("mk/");
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(ident) if *ident == "unsafe" && !may_be_unsafe => {
                let what =
                    "unsafe code stands in xen/ and kernel/ only: ask for a safe function there";
                findings.push(Finding::new(file, line, what));
            }
            TokenTree::Ident(ident) if *ident == "smoltcp" && !file.starts_with(SMOLTCP) => {
                let what = format!("smoltcp is named in {SMOLTCP} only: use that module's types");
                findings.push(Finding::new(file, line, what));
            }
            TokenTree::Ident(ident) if *ident == "PTE_USER" && file.starts_with(USER_MODE) => {
                let what = "no entry of user mode sets PTE_USER: Xen would make the page global, \
                            and its translation would stay in kernel mode";
                findings.push(Finding::new(file, line, what));
            }
            TokenTree::Literal(literal) if !may_call && calls_hypervisor(&literal.to_string()) => {
                let what = format!("the hypercall instruction stands in {HYPERCALL} only");
                findings.push(Finding::new(file, line, what));
            }
            _ => {}
        }
    }
    findings
}

/// Whether a literal holds an instruction that enters the hypervisor.
fn calls_hypervisor(literal: &str) -> bool {
    let Some(text) = literal.split_once('"').map(|(_, text)| text) else { return false };
    text.trim_end_matches(['"', '#']).split(['\n', ';']).flat_map(|it| it.split("\\n")).any(
        |line| {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("syscall" | "sysenter") => words.next().is_none(),
                Some("call" | "jmp") => line.contains("hypercall_page"),
                Some("int") => words.next() == Some("0x82"),
                _ => false,
            }
        },
    )
}

/// Looks for `#[cfg(...)]`, `#[cfg_attr(..., ...)]` and `cfg!(...)`.
fn conditions(file: &str, tokens: &[TokenTree]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Ident(name) = token else { continue };
        let whole = *name == "cfg";
        if !whole && *name != "cfg_attr" {
            continue;
        }
        let next = match tokens.get(at + 1) {
            Some(TokenTree::Punct(bang)) if bang.as_char() == '!' => tokens.get(at + 2),
            next => next,
        };
        let Some(TokenTree::Group(group)) = next else { continue };
        if group.delimiter() != Delimiter::Parenthesis {
            continue;
        }
        let is_comma =
            |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
        let condition = group.stream().into_iter().take_while(|token| whole || !is_comma(token));
        let mut names = Vec::new();
        idents(condition.collect(), &mut names);
        let line = name.span().start().line;
        for name in names {
            match name.as_str() {
                "test" | "not" | "any" | "all" => {}
                "target_os" if is_root(file) || matches(TARGET_FILES, file) => {}
                "target_os" => {
                    let what = "what differs between Xen and elsewhere stands in crate roots, \
                                hypercall.rs and the mod.rs of a folder of the kernel's or of \
                                a device class";
                    findings.push(Finding::new(file, line, what));
                }
                "feature" if file == FACADE => {}
                other => {
                    let what = format!("cfg on {other}: there are only target_os and test");
                    findings.push(Finding::new(file, line, what));
                }
            }
        }
    }
    findings
}

/// The names of all tests in a file, and their lines.
pub(super) fn tests(content: &str) -> Vec<(String, usize)> {
    let mut tests = Vec::new();
    // What is not Rust is found elsewhere.
    let stream: TokenStream = content.parse().unwrap_or_default();
    walk(&stream.into_iter().collect::<Vec<_>>(), &mut |tokens| {
        let mut is_test = false;
        for pair in tokens.windows(2) {
            match pair {
                [TokenTree::Punct(hash), TokenTree::Group(group)] if hash.as_char() == '#' => {
                    is_test |= group.stream().to_string() == "test";
                }
                [TokenTree::Ident(word), TokenTree::Ident(name)] if *word == "fn" && is_test => {
                    is_test = false;
                    tests.push((name.to_string(), name.span().start().line));
                }
                _ => {}
            }
        }
    });
    tests
}

fn is_root(file: &str) -> bool {
    file.ends_with("src/lib.rs") || file.ends_with("src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The findings in a file that is documented.
    fn check(file: &str, content: &str) -> Vec<String> {
        let content = format!("//! Documented.\n{content}\n");
        super::check(file, &content).iter().map(ToString::to_string).collect()
    }

    fn finds(file: &str, content: &str, expected: &str) {
        let findings = check(file, content);
        assert!(findings.len() == 1 && findings[0].contains(expected), "{content}: {findings:?}");
    }

    #[test]
    fn modules_are_documented() {
        let what = super::check("xen/src/a.rs", "// A comment.\nfn f() {}\n")[0].to_string();
        assert!(what.starts_with("xen/src/a.rs:1: the module has no documentation"), "{what}");
        assert_eq!(check("xen/src/a.rs", "fn f() {}"), [""; 0]);
    }

    #[test]
    fn unsafe_has_its_places() {
        finds("devices/src/a.rs", "fn f() {\n unsafe { g() } }", "devices/src/a.rs:3: unsafe code");
        finds("apps/a/src/main.rs", "macro_rules! m { () => { unsafe {} } }", "unsafe code");
        finds("mk/src/a.rs", "#[unsafe(no_mangle)] fn f() {}", "unsafe code");
        assert_eq!(check("kernel/src/a.rs", "unsafe fn f() {}"), [""; 0]);
        assert_eq!(check("devices/src/a.rs", "// unsafe\nconst A: &str = \"unsafe\";"), [""; 0]);
    }

    #[test]
    fn safe_crates_say_so() {
        finds("apps/a/src/lib.rs", "fn f() {}", "does not forbid unsafe code");
        finds("devices/src/lib.rs", "#![deny(unsafe_code)]", "does not forbid unsafe code");
        assert_eq!(check("devices/src/lib.rs", "#![no_std]\n#![forbid(unsafe_code)]"), [""; 0]);
    }

    #[test]
    fn cfg_has_its_places() {
        let xen = "#[cfg(target_os = \"xen\")] mod a;";
        for file in
            ["xen/src/lib.rs", HYPERCALL, "kernel/src/machine/mod.rs", "devices/src/net/mod.rs"]
        {
            assert_eq!(check(file, &format!("#![forbid(unsafe_code)]\n{xen}")), [""; 0], "{file}");
        }
        finds("devices/src/net/netfront.rs", xen, "devices/src/net/netfront.rs:2: what differs");
        finds("kernel/src/time.rs", "const A: bool = cfg!(target_os = \"xen\");", "what differs");
        finds("xen/src/lib.rs", "#[cfg(feature = \"x\")] mod a;", "cfg on feature");
        finds("xen/src/a.rs", "#[cfg_attr(debug_assertions, inline)] fn f() {}", "cfg on debug_a");
        let fine =
            "#[cfg(all(test, not(test)))] mod t {}\n#[cfg_attr(test, allow(dead_code))] fn f() {}";
        assert_eq!(check("xen/src/a.rs", fine), [""; 0]);
    }

    #[test]
    fn pages_of_user_mode_are_not_global() {
        let entry = "const ENTRY: u64 = PTE_PRESENT | PTE_USER;";
        finds("kernel/src/machine/xen/user/table.rs", entry, "PTE_USER");
        assert_eq!(check("kernel/src/machine/xen/paging.rs", entry), [""; 0]);
    }

    #[test]
    fn the_hypercall_instruction_has_its_file() {
        let asm = "asm!(\"call hypercall_page + {x}\");";
        finds("kernel/src/machine/xen/start.rs", asm, "hypercall instruction");
        finds("xen/src/a.rs", "asm!(\"mov eax, 1\\nsyscall\");", "hypercall instruction");
        assert_eq!(check(HYPERCALL, asm), [""; 0]);
        assert_eq!(check("xen/src/a.rs", "asm!(\".quad hypercall_page\");"), [""; 0]);
        assert_eq!(check("mk/src/a.rs", "const A: &str = \"syscall handling\";"), [""; 0]);
    }

    #[test]
    fn smoltcp_has_its_folder() {
        finds("devices/src/net/mod.rs", "use smoltcp::phy;", "smoltcp is named in");
        assert_eq!(check("devices/ip/src/stack/mod.rs", "use smoltcp::phy;"), [""; 0]);
    }

    #[test]
    fn what_is_not_rust_is_said() {
        assert!(super::check("a.rs", "fn f( {")[0].what.contains("not Rust"));
    }
}
