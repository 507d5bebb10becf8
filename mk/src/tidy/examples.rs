//! Whether each public trait shows by an example how it is used.

use super::Finding;
use super::source::walk;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Folders whose crates others depend on.
const PUBLIC: &[&str] = &["devices/", "kernel/src/", "mk/lab/src/", "xen/src/"];

/// Checks a Rust file.
pub(crate) fn check(file: &str, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !PUBLIC.iter().any(|folder| file.starts_with(folder)) {
        return findings;
    }
    // What is not Rust is found elsewhere.
    let stream: TokenStream = content.parse().unwrap_or_default();
    walk(&stream.into_iter().collect::<Vec<_>>(), &mut |tokens| {
        for (at, token) in tokens.iter().enumerate() {
            if !matches!(token, TokenTree::Ident(word) if *word == "pub") {
                continue;
            }
            let mut rest = tokens.iter().skip(at + 1).skip_while(|it| is_word(it, "unsafe"));
            if !rest.next().is_some_and(|it| is_word(it, "trait")) {
                continue;
            }
            let Some(TokenTree::Ident(name)) = rest.next() else { continue };
            if !has_example(&docs(tokens.get(..at).unwrap_or_default())) {
                let what = format!(
                    "the trait {name} has no example: show in its documentation, in a block \
                     that compiles, how it is used or implemented"
                );
                findings.push(Finding::new(file, name.span().start().line, what));
            }
        }
    });
    findings
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if *ident == word)
}

/// The documentation in the attributes that `tokens` end with, a line each.
fn docs(tokens: &[TokenTree]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = tokens;
    while let [before @ .., TokenTree::Punct(hash), TokenTree::Group(group)] = rest
        && hash.as_char() == '#'
        && group.delimiter() == Delimiter::Bracket
    {
        let attribute: Vec<_> = group.stream().into_iter().collect();
        if let [TokenTree::Ident(doc), TokenTree::Punct(_), TokenTree::Literal(text)] =
            &attribute[..]
            && *doc == "doc"
        {
            lines.push(text.to_string());
        }
        rest = before;
    }
    lines.reverse();
    lines
}

/// Whether one of the blocks of code is Rust that is compiled.
fn has_example(lines: &[String]) -> bool {
    let mut open = false;
    lines.iter().any(|line| {
        let Some((_, words)) = line.split_once("```") else { return false };
        open = !open;
        let mut words = words.trim_matches(['"', '#', '`']).split(',').map(str::trim);
        open && words.all(|word| matches!(word, "" | "rust" | "no_run" | "standalone_crate"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(file: &str, content: &str) -> Vec<String> {
        check(file, content).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_public_trait_has_an_example() {
        let none = findings("kernel/src/a.rs", "/// Counts.\npub trait Counts {}");
        assert_eq!(none.len(), 1);
        assert!(none[0].starts_with("kernel/src/a.rs:2: the trait Counts has no example"));
        for fence in ["```", "```rust", "```no_run", "```no_run,standalone_crate"] {
            let text =
                format!("/// Counts.\n/// {fence}\n/// 1 + 1;\n/// ```\npub trait Counts {{}}");
            assert_eq!(findings("devices/ip/src/lib.rs", &text), [""; 0], "{fence}");
        }
    }

    #[test]
    fn what_is_not_compiled_is_no_example() {
        for fence in ["```text", "```ignore", "```rust,ignore", "```compile_fail"] {
            let text =
                format!("/// {fence}\n/// 1 + 1;\n/// ```\n#[must_use]\npub unsafe trait A {{}}");
            assert_eq!(findings("xen/src/a.rs", &text).len(), 1, "{fence}");
        }
    }

    #[test]
    fn what_nobody_else_sees_needs_none() {
        let private =
            "trait A {}\npub(crate) trait B {}\n/// ```\n/// f();\n/// ```\npub fn c() {}";
        assert_eq!(findings("kernel/src/a.rs", private), [""; 0]);
        assert_eq!(findings("apps/echo/src/lib.rs", "pub trait A {}"), [""; 0]);
    }
}
