//! Import circles: files of one crate that use each other's items, directly or by way of
//! others, so that none of them can be understood, tested or moved without the rest.
//!
//! A path in the tokens of a file (`crate::a::b`, `super::b`, `a::b` behind `mod a` or
//! `use crate::a`) leads to the file that defines the item, through re-exports. To declare
//! or to re-export a module is no use of it, and what stands below `#[cfg(test)]` is not
//! looked at: tests may use everything. Methods lead nowhere.

use super::finding::Finding;
use super::source::idents;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The folder into which uses from outside may close a circle: the hypervisor for host tests,
/// which the seam calls and which is built from everything that stands on the seam.
const FAKE: &str = "xen/src/fake/";

/// Words that begin an item with a name.
const ITEMS: &[&str] =
    &["fn", "struct", "enum", "union", "trait", "type", "static", "const", "macro_rules"];

/// One module: a file, or a block within one.
#[derive(Debug, Default)]
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, Vec<usize>>,
    /// Names that `use` brings here, and what each stands for.
    imports: Vec<(String, Vec<String>)>,
    items: BTreeSet<String>,
    /// Every path in its code, with its line; not those of re-exports.
    paths: Vec<(Vec<String>, usize)>,
}

/// Finds the circles within each crate of `sources`, which are names and contents.
pub(crate) fn check<'a>(sources: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    let sources: BTreeMap<&str, &str> = sources.collect();
    let roots =
        sources.keys().filter(|it| it.ends_with("src/lib.rs") || it.ends_with("src/main.rs"));
    let mut findings = Vec::new();
    for root in roots {
        let mut krate = Crate { sources: &sources, modules: Vec::new() };
        krate.file(root, None);
        findings.extend(krate.circles());
    }
    findings
}

struct Crate<'a> {
    sources: &'a BTreeMap<&'a str, &'a str>,
    modules: Vec<Module>,
}

impl Crate<'_> {
    /// Reads the module that is the file `name`.
    fn file(&mut self, name: &str, parent: Option<usize>) -> usize {
        // What is not Rust is found elsewhere.
        let stream: TokenStream = self.sources[name].parse().unwrap_or_default();
        let (folder, stem) = name.rsplit_once('/').unwrap_or(("", name));
        let folder = match stem.trim_end_matches(".rs") {
            "lib" | "main" | "mod" => folder.to_owned(),
            stem => format!("{folder}/{stem}"),
        };
        self.module(stream, name, &folder, parent)
    }

    /// Reads a module of `name` whose children stand in `folder`.
    fn module(
        &mut self,
        stream: TokenStream,
        name: &str,
        folder: &str,
        parent: Option<usize>,
    ) -> usize {
        let this = self.modules.len();
        self.modules.push(Module { file: name.to_owned(), parent, ..Module::default() });
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let (mut at, mut public, mut test) = (0, false, false);
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1);
            match (token, next) {
                (TokenTree::Punct(hash), Some(TokenTree::Group(group)))
                    if hash.as_char() == '#' =>
                {
                    test |= is_test(group.stream());
                    at += 2;
                    continue;
                }
                (TokenTree::Punct(hash), Some(TokenTree::Punct(_))) if hash.as_char() == '#' => {
                    // `#![...]`
                    at += 3;
                    continue;
                }
                (TokenTree::Ident(word), Some(TokenTree::Ident(child))) if *word == "mod" => {
                    let child = child.to_string();
                    let inner = match tokens.get(at + 2) {
                        _ if test => None,
                        Some(TokenTree::Group(body)) => {
                            let folder = format!("{folder}/{child}");
                            Some(self.module(body.stream(), name, &folder, Some(this)))
                        }
                        _ => [format!("{folder}/{child}.rs"), format!("{folder}/{child}/mod.rs")]
                            .into_iter()
                            .find(|file| self.sources.contains_key(file.as_str()))
                            .map(|file| self.file(&file, Some(this))),
                    };
                    if let Some(inner) = inner {
                        self.modules[this].children.entry(child).or_default().push(inner);
                    }
                    at += 3;
                }
                (TokenTree::Ident(word), _) if *word == "use" => {
                    let rest = &tokens[at + 1..];
                    let end = rest.iter().position(|it| is(it, ';')).unwrap_or(rest.len());
                    if !test {
                        let mut names = Vec::new();
                        tree(&rest[..end], &mut Vec::new(), &mut names);
                        self.modules[this].import(names, public);
                    }
                    at += end + 2;
                }
                (TokenTree::Ident(word), _) if *word == "pub" => {
                    public = true;
                    at += 1;
                    // `pub(crate)`
                    at += usize::from(matches!(tokens.get(at), Some(TokenTree::Group(_))));
                    continue;
                }
                _ => {
                    // An item, up to its end.
                    let rest = &tokens[at..];
                    let end = rest.iter().position(ends_item).unwrap_or(rest.len() - 1);
                    if !test {
                        let module = &mut self.modules[this];
                        module.items.extend(name_of(&rest[..=end]));
                        paths(&rest[..=end], &mut module.paths);
                    }
                    at += end + 1;
                }
            }
            (public, test) = (false, false);
        }
        this
    }

    /// The files that define what `path` leads to, seen from module `from`. One that nobody
    /// seems to define comes out of a macro of the module that the path names.
    fn files_of(&self, from: usize, path: &[String], seen: &mut Vec<(usize, String)>) -> Files {
        let Some((first, rest)) = path.split_first() else { return Files::new() };
        match first.as_str() {
            "crate" => self.below(0, rest, true, seen),
            "self" => self.below(from, rest, true, seen),
            "super" => match self.modules[from].parent {
                Some(parent) if rest.first().is_some_and(|it| it == "super") => {
                    self.files_of(parent, rest, seen)
                }
                Some(parent) => self.below(parent, rest, true, seen),
                None => Files::new(),
            },
            _ => self.below(from, path, false, seen),
        }
    }

    /// The files that define what `path` is within `module`; none if it is only a module.
    fn below(
        &self,
        module: usize,
        path: &[String],
        named: bool,
        seen: &mut Vec<(usize, String)>,
    ) -> Files {
        let Some((name, rest)) = path.split_first() else { return Files::new() };
        let here = &self.modules[module];
        if seen.contains(&(module, name.clone())) {
            return Files::new();
        }
        let mut files = Files::new();
        for &child in here.children.get(name).into_iter().flatten() {
            files.extend(self.below(child, rest, true, seen));
        }
        if here.items.contains(name) {
            files.insert(here.file.clone());
        }
        seen.push((module, name.clone()));
        let mut known = here.children.contains_key(name) || !files.is_empty();
        for (_, to) in here.imports.iter().filter(|(import, _)| import == name) {
            known = true;
            files.extend(self.files_of(module, &[to, rest].concat(), seen));
        }
        if !known && named {
            files.insert(here.file.clone());
        }
        seen.pop();
        files
    }

    /// The files of a module and of those that it stands in: with these it is one room.
    fn above(&self, module: usize) -> Files {
        let ways = std::iter::successors(Some(module), |&it| self.modules[it].parent);
        ways.map(|it| self.modules[it].file.clone()).collect()
    }

    /// What each file uses of others, with the line of the first use.
    fn uses(&self) -> BTreeMap<String, BTreeMap<String, usize>> {
        let mut uses = BTreeMap::<String, BTreeMap<String, usize>>::new();
        for (at, module) in self.modules.iter().enumerate() {
            let above = self.above(at);
            for (path, line) in &module.paths {
                for file in self.files_of(at, path, &mut Vec::new()) {
                    let seam = file.starts_with(FAKE) && !module.file.starts_with(FAKE);
                    if !seam && !above.contains(&file) {
                        let lines = uses.entry(module.file.clone()).or_default();
                        lines.entry(file).or_insert(*line);
                    }
                }
            }
        }
        uses
    }

    /// A finding for each circle: a shortest one through each file that no other holds.
    fn circles(&self) -> Vec<Finding> {
        let uses = self.uses();
        let (mut findings, mut told) = (Vec::new(), BTreeSet::new());
        for file in uses.keys() {
            if told.contains(file) {
                continue;
            }
            let Some(circle) = shortest(&uses, file) else { continue };
            let way = circle.iter().skip(1).chain([file]).zip(&circle);
            let way: Vec<_> =
                way.map(|(to, from)| format!("{to} (line {})", uses[from][to])).collect();
            let what = format!(
                "an import circle: it uses {}; move what both ends need to where neither \
                 imports the other",
                way.join(", which uses ")
            );
            findings.push(Finding::new(file, uses[file][circle.get(1).unwrap_or(file)], what));
            told.extend(circle);
        }
        findings
    }
}

type Files = BTreeSet<String>;

impl Module {
    /// Takes in what a `use` names. Re-exports only pass on what others define.
    fn import(&mut self, names: Vec<(Vec<String>, String, usize)>, public: bool) {
        for (path, name, line) in names {
            if !public {
                self.paths.push((path.clone(), line));
            }
            self.imports.push((name, path));
        }
    }
}

/// The files on a shortest way from `file` back to it.
fn shortest(uses: &BTreeMap<String, BTreeMap<String, usize>>, file: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![file.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for to in uses.get(way.last()?).into_iter().flatten().map(|(to, _)| to) {
            if to == file {
                return Some(way);
            }
            if seen.insert(to.clone()) {
                ways.push_back([&way[..], std::slice::from_ref(to)].concat());
            }
        }
    }
    None
}

fn is(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(it) if it.as_char() == punct)
}

/// Whether an attribute is `cfg(test)` or `test`.
fn is_test(attribute: TokenStream) -> bool {
    let mut names = Vec::new();
    idents(attribute, &mut names);
    matches!(
        names.iter().map(String::as_str).collect::<Vec<_>>()[..],
        ["test"] | ["cfg", "test", ..] | ["cfg", "all", "test", ..]
    )
}

fn ends_item(token: &TokenTree) -> bool {
    is(token, ';') || matches!(token, TokenTree::Group(it) if it.delimiter() == Delimiter::Brace)
}

/// The name of an item.
fn name_of(item: &[TokenTree]) -> Option<String> {
    let at = item.iter().position(
        |it| matches!(it, TokenTree::Ident(word) if ITEMS.contains(&word.to_string().as_str())),
    )?;
    item[at + 1..].iter().find_map(|it| match it {
        TokenTree::Ident(name)
            if !matches!(
                name.to_string().as_str(),
                "async" | "extern" | "fn" | "mut" | "unsafe"
            ) =>
        {
            Some(name.to_string())
        }
        _ => None,
    })
}

/// The paths that a tree of `use` holds below `before`: each, its name here, and its line.
fn tree(
    tokens: &[TokenTree],
    before: &mut Vec<String>,
    to: &mut Vec<(Vec<String>, String, usize)>,
) {
    for branch in tokens.split(|it| is(it, ',')) {
        // `::a` is another crate.
        if before.is_empty() && branch.first().is_some_and(|it| is(it, ':')) {
            continue;
        }
        let length = before.len();
        let (mut name, mut line, mut inner, mut alias) = (None, 1, false, false);
        for token in branch {
            match token {
                TokenTree::Ident(word) if *word == "as" => alias = true,
                TokenTree::Ident(word) => {
                    name = Some(word.to_string());
                    line = word.span().start().line;
                    if !alias {
                        before.push(word.to_string());
                    }
                }
                TokenTree::Punct(star) if star.as_char() == '*' => {
                    before.push("*".to_owned());
                    (name, line) = (Some("*".to_owned()), star.span().start().line);
                }
                TokenTree::Group(group) => {
                    let tokens: Vec<_> = group.stream().into_iter().collect();
                    tree(&tokens, before, to);
                    inner = true;
                }
                _ => {}
            }
        }
        if let (Some(mut name), false) = (name, inner) {
            // `a::{self}` is `a`.
            if name == "self" && before.len() > 1 {
                before.pop();
                name = before.last().cloned().unwrap_or_default();
            }
            to.push((before.clone(), name, line));
        }
        before.truncate(length);
    }
}

/// The paths in code, of two names and more, with their lines.
fn paths(tokens: &[TokenTree], to: &mut Vec<(Vec<String>, usize)>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Group(group) => {
                paths(&group.stream().into_iter().collect::<Vec<_>>(), to);
            }
            TokenTree::Ident(first) => {
                // `::a::b` is another crate's, and `T::<U>::a` a type's own.
                let behind =
                    matches!(tokens[..at - 1], [.., ref a, ref b] if is(a, ':') && is(b, ':'));
                let mut path = vec![first.to_string()];
                while let [a, b, TokenTree::Ident(name), ..] = &tokens[at.min(tokens.len())..]
                    && is(a, ':')
                    && is(b, ':')
                {
                    path.push(name.to_string());
                    at += 3;
                }
                if path.len() > 1 && !behind {
                    to.push((path, first.span().start().line));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a crate of these files, below `a/src/`.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|&(file, it)| (format!("a/src/{file}"), it)).collect();
        let findings = check(files.iter().map(|(file, it)| (file.as_str(), *it)));
        findings.iter().map(ToString::to_string).collect()
    }

    const ROOT: (&str, &str) = ("lib.rs", "mod one; mod other; mod third;");

    #[test]
    fn files_that_import_each_other_are_named() {
        let found = circles(&[
            ROOT,
            ("one.rs", "use crate::other::Other;\npub struct One;"),
            ("other.rs", "use super::third;\npub struct Other;\nfn f() { third::f() }"),
            ("third/mod.rs", "pub fn f(_: &crate::one::One) {}"),
        ]);
        assert_eq!(
            found,
            ["a/src/one.rs:1: an import circle: it uses a/src/other.rs (line 1), which uses \
              a/src/third/mod.rs (line 3), which uses a/src/one.rs (line 1); move what both ends \
              need to where neither imports the other"]
        );
    }

    #[test]
    fn arrows_in_one_direction_are_fine() {
        let found = circles(&[
            ROOT,
            ("one.rs", "use crate::{other::{self, Other}, third::*};\nfn f() { other::g(Other) }"),
            ("other.rs", "use ::one::One;\npub struct Other;\npub fn g(_: Other) {}"),
            ("third.rs", "use crate::other::Other as One;\nfn f() { One::one::<u8>::new() }"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn re_exports_lead_on_and_are_no_use() {
        let there = ("one.rs", "pub use crate::other::Other;\npub fn one() {}");
        let own = ("other.rs", "use crate::one::one;\npub struct Other;");
        assert_eq!(circles(&[ROOT, there, own, ("third.rs", "use crate::one::Other;")]), [""; 0]);
        let back = ("other.rs", "use crate::third::f;\npub struct Other;");
        let through = ("third.rs", "use crate::one::Other;\npub fn f() {}");
        let found = circles(&[ROOT, there, back, through]);
        assert!(found.len() == 1 && found[0].starts_with("a/src/other.rs:1"), "{found:?}");
    }

    #[test]
    fn a_folder_and_its_file_are_one_room() {
        let inner = ("one/inner.rs", "use super::One;\npub struct Inner(One);");
        let outer = ("one.rs", "mod inner;\nuse inner::Inner;\npub struct One;");
        let (root, beside) = (("lib.rs", "mod one;"), ("one/beside.rs", "use super::inner::f;"));
        assert_eq!(circles(&[root, inner, outer]), [""; 0]);
        let outer = ("one.rs", "mod inner; mod beside;");
        let inner = ("one/inner.rs", "pub fn f() { super::beside::g() }");
        let found = circles(&[root, inner, outer, beside]);
        assert!(found.len() == 1 && found[0].contains("one/beside.rs"), "{found:?}");
    }

    #[test]
    fn tests_may_use_everything() {
        let found = circles(&[
            ROOT,
            ("one.rs", "use crate::other::g;\npub fn f() {}"),
            (
                "other.rs",
                "#[test]\nfn t() { crate::one::f() }\n#[cfg(test)]\nmod tests { use crate::one::f; }\n\
                 #[cfg(test)]\nuse crate::one;\npub fn g() {}\n#[cfg(test)]\nmod far;",
            ),
            ("other/far.rs", "use crate::one::f;"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn macros_and_inner_modules_are_looked_into() {
        let there = ("one.rs", "pub mod deep { pub fn f() {} }\nfn g() { crate::other::h!() }");
        let back = "macro_rules! h { () => { $crate::one::deep::f() } }\npub(crate) use h;";
        let found = circles(&[ROOT, there, ("other.rs", back)]);
        assert!(found.len() == 1 && found[0].contains("other.rs"), "{found:?}");
    }

    #[test]
    fn the_fake_may_use_the_seam() {
        let files = |fake: &'static str| {
            let seam = ("xen/src/hypercall.rs", "use crate::fake::call;\npub fn f() {}");
            let root = ("xen/src/lib.rs", "mod hypercall; mod fake;");
            check([seam, root, ("xen/src/fake/mod.rs", fake)].into_iter())
        };
        assert_eq!(files("use crate::hypercall::f;\npub fn call() {}"), []);
    }
}
