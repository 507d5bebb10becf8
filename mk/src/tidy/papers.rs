//! Checks that README and the book say what is so: links lead somewhere, the table of apps has
//! all of them, files that are shown whole are as they are, pages are in the book.

use super::Finding;
use std::collections::HashMap;

/// The first page of the repository.
const README: &str = "README.md";

/// The app that README shows whole.
const SHOWN: &str = "apps/hello/src/";

/// Where the pages of the book stand, and which of them lists the others.
const PAGES: &str = "docs/src/";
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// The file that gives the pages with examples to `cargo test --doc`.
const EXAMPLES: &str = "docs/lib.rs";

/// The most lines that README may have: what is longer belongs into the book.
const README_LINES: usize = 180;

/// Checks all papers among `files`, which is all that belongs to the repository, with the
/// content of those that are text.
pub(crate) fn check(files: &HashMap<String, String>) -> Vec<Finding> {
    let mut names: Vec<_> = files.keys().filter(|name| name.ends_with(".md")).collect();
    names.sort();
    let mut findings: Vec<_> =
        names.iter().flat_map(|name| links(name, &files[*name], files)).collect();
    for page in names.iter().filter(|name| name.starts_with(PAGES) && **name != SUMMARY) {
        findings.extend(page_is_used(page, files));
        findings.extend(shown(page, files));
    }
    findings.extend(readme(files));
    findings
}

/// A page is in the list of pages, and its examples are compiled.
fn page_is_used(page: &str, files: &HashMap<String, String>) -> Vec<Finding> {
    let name = page.strip_prefix(PAGES).unwrap_or(page);
    let holds = |file: &str, text: &str| files.get(file).is_some_and(|it| it.contains(text));
    let mut findings = Vec::new();
    if !holds(SUMMARY, &format!("({name})")) {
        findings.push(Finding::new(page, None, format!("{SUMMARY} does not list the page")));
    }
    let has_example = fences(&files[page]).any(|(_, info)| {
        let mut words = info.split([',', ' ']);
        words.next() == Some("rust") && words.all(|word| word != "ignore")
    });
    if has_example && !holds(EXAMPLES, &format!("\"{name}\"")) {
        let what = format!("its examples are not compiled: list the page in {EXAMPLES}");
        findings.push(Finding::new(page, None, what));
    }
    for (line, _) in fences(&files[page]).filter(|(_, info)| info.is_empty()) {
        let what = "a block of code of no language is compiled as Rust: say ```text or another";
        findings.push(Finding::new(page, line, what));
    }
    findings
}

/// What stands in a page before a block of code that shows a file, which has to be as that is.
const SHOWS: &str = "<!-- shows ";

/// Files that a page shows are there as they are: where a page is read outside the book, nothing
/// includes them.
fn shown(page: &str, files: &HashMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let text = &files[page];
    for (line, at) in text.lines().zip(1..).filter(|(line, _)| line.starts_with("{{#")) {
        let what =
            format!("{line} is all that is read outside the book: copy it, below {SHOWS}FILE -->");
        findings.push(Finding::new(page, at, what));
    }
    let mut line = 1;
    let mut parts = text.split(SHOWS);
    line += parts.next().map_or(0, |part| part.matches('\n').count());
    for part in parts {
        let (file, rest) = part.split_once(" -->\n").unwrap_or((part, ""));
        let block = rest.trim_start().strip_prefix("```").and_then(|it| it.split_once('\n'));
        let block = block.and_then(|(_, it)| it.split_once("\n```")).map(|(it, _)| it);
        match files.get(file) {
            None => findings.push(Finding::new(page, line, format!("there is no {file} to show"))),
            Some(content) if block == Some(content.trim_end()) => {}
            Some(_) => {
                let what =
                    format!("{file} is not shown as it is: copy it into the block of code below");
                findings.push(Finding::new(page, line, what));
            }
        }
        line += part.matches('\n').count();
    }
    findings
}

/// README is short, names every app, and shows one as it is.
fn readme(files: &HashMap<String, String>) -> Vec<Finding> {
    let Some(text) = files.get(README) else { return Vec::new() };
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > README_LINES {
        let what = format!("{lines} lines: it has at most {README_LINES}; more belongs into docs/");
        findings.push(Finding::new(README, None, what));
    }
    // A row may tell of several, such as one and the same by TLS.
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    let rows = text.lines().zip(1..).filter_map(|(it, at)| Some((row(it)?, at)));
    let names = |(row, at): (String, usize)| {
        row.split("`, `").map(|name| (name.to_owned(), at)).collect::<Vec<_>>()
    };
    let told: Vec<_> = rows.flat_map(names).collect();
    let mut apps: Vec<_> = files
        .keys()
        .filter_map(|file| file.strip_prefix("apps/")?.strip_suffix("/Cargo.toml"))
        .collect();
    apps.sort_unstable();
    for app in apps.iter().filter(|app| told.iter().all(|(name, _)| name != *app)) {
        let what = format!("the table of apps lacks {app}: add a row `| \\`{app}\\` | ... |`");
        findings.push(Finding::new(README, None, what));
    }
    for (name, line) in told.iter().filter(|(name, _)| !apps.contains(&name.as_str())) {
        let what = format!("there is no app {name} in apps/: take it out of the table");
        findings.push(Finding::new(README, *line, what));
    }
    for file in ["lib.rs", "main.rs"].map(|file| SHOWN.to_owned() + file) {
        let Some(content) = files.get(&file) else { continue };
        if !text.contains(&format!("```rust\n{}\n```", content.trim_end())) {
            let what = format!("{file} is not shown as it is: copy it into a block ```rust");
            findings.push(Finding::new(README, None, what));
        }
    }
    findings
}

/// The first lines of blocks of code, with what they say of their language.
fn fences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let fences = text.lines().zip(1..);
    let fences = fences.filter_map(|(line, at)| Some((at, line.trim_start().strip_prefix("```")?)));
    fences.step_by(2)
}

/// Links of `file` to files and headings that there are not.
fn links(file: &str, text: &str, files: &HashMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, target) in targets(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = if path.is_empty() { file.to_owned() } else { join(file, path) };
        let within = format!("{path}/");
        let what = match files.get(&path) {
            None if files.keys().any(|name| name.starts_with(&within)) => continue,
            None => format!("the link to {target} leads nowhere: there is no {path}"),
            Some(text) if !heading.is_empty() && !has_heading(text, heading) => {
                format!("the link to {target} leads nowhere: {path} has no such heading")
            }
            Some(_) if file.starts_with(PAGES) && !path.starts_with("docs/src/") => {
                format!("the book does not hold {path}: link to the repository's page of it")
            }
            Some(_) => continue,
        };
        findings.push(Finding::new(file, line, what));
    }
    findings
}

/// The targets of a text's links, with their lines.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let (mut targets, mut in_code) = (Vec::new(), false);
    for (line, at) in text.lines().zip(1..) {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        // Between two backquotes is code.
        for text in line.split('`').step_by(2) {
            for (start, _) in text.match_indices("](") {
                let target = text[start + 2..].split(')').next().unwrap_or_default();
                targets.push((at, target.split(' ').next().unwrap_or_default()));
            }
        }
        let defined = line.strip_prefix('[').and_then(|it| it.split_once("]: "));
        targets.extend(defined.map(|(_, target)| (at, target.trim())));
    }
    targets
}

/// The path of what `file` calls `path`.
fn join(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a text has a heading that is linked to as `id`.
fn has_heading(text: &str, id: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim()).any(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect::<String>() == id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        check(&files.collect()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_lead_somewhere() {
        let a = "[b](docs/b.md#two-words) [c](docs) `[x](y)`\n```text\n[x](y)\n```\n## Two `words`!\n\
            [me](#two-words)\nhttps://a.b\n[d](https://a.b/c)\n";
        let b = "# Two words\n[up](../a.md)\n";
        assert_eq!(said(&[("a.md", a), ("docs/b.md", b)]), [""; 0]);
        let wrong = said(&[("a.md", "\n[b](b.md)\n[c](#none)\n[r]: c.md\n")]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("a.md:2: the link to b.md leads nowhere"), "{wrong:?}");
        assert!(wrong[1].contains("no such heading"), "{wrong:?}");
    }

    #[test]
    fn a_page_is_in_the_book_and_its_examples_are_compiled() {
        let page = ("docs/src/a.md", "```rust\nlet a = 1;\n```\n```text\n```\n");
        let summary = ("docs/src/SUMMARY.md", "- [A](a.md)\n");
        let wrong = said(&[page, summary]);
        assert!(wrong.len() == 1 && wrong[0].contains("examples are not compiled"), "{wrong:?}");
        let list = (EXAMPLES, "pages! { a \"a.md\", }");
        assert_eq!(said(&[page, summary, list]), [""; 0]);
        let wrong = said(&[("docs/src/a.md", "```\nx\n```\n"), ("docs/src/SUMMARY.md", "")]);
        assert!(wrong.len() == 2 && wrong[1].starts_with("docs/src/a.md:1: a block"), "{wrong:?}");
    }

    #[test]
    fn files_that_a_page_shows_are_shown_as_they_are() {
        let file = ("apps/a/src/lib.rs", "fn f() {}\n");
        let summary = ("docs/src/SUMMARY.md", "- [A](a.md)\n");
        let page = |text: &str| said(&[file, summary, ("docs/src/a.md", text)]);
        let good = "# A\n<!-- shows apps/a/src/lib.rs -->\n\n```rust,ignore\nfn f() {}\n```\n";
        assert_eq!(page(good), [""; 0]);
        let wrong = page(&good.replace("f()", "g()"));
        assert!(
            wrong.len() == 1 && wrong[0].starts_with("docs/src/a.md:2: apps/a/src/lib.rs is not")
        );
        assert!(page(&good.replace("apps/a", "apps/b"))[0].contains("there is no apps/b"));
        let wrong = page("x\n{{#include ../../apps/a/src/lib.rs}}\n");
        assert!(
            wrong.len() == 1 && wrong[0].starts_with("docs/src/a.md:2: {{#include"),
            "{wrong:?}"
        );
    }

    #[test]
    fn readme_has_all_apps_and_shows_one_as_it_is() {
        let app = ("apps/hello/Cargo.toml", "");
        let lib = ("apps/hello/src/lib.rs", "fn f() {}\n");
        let good = "| `hello` | says it |\n```rust\nfn f() {}\n```\n";
        assert_eq!(said(&[app, lib, (README, good)]), [""; 0]);
        let other = ("apps/other/Cargo.toml", "");
        let both = good.replace("`hello`", "`hello`, `other`");
        assert_eq!(said(&[app, other, lib, (README, &both)]), [""; 0]);
        assert_eq!(said(&[app, lib, (README, &both)]).len(), 1);
        let wrong =
            said(&[app, lib, (README, &good.replace("hello", "gone").replace("{}", "{ }"))]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[1].starts_with("README.md:1: there is no app gone"), "{wrong:?}");
        assert!(said(&[(README, &"x\n".repeat(181))])[0].contains("181 lines"));
    }
}
