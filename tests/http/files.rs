//! The files that the table of static cases speaks of, as an archive.

use std::format;
use std::vec::Vec;

/// `Sun, 06 Nov 1994 08:49:37 GMT`, when most files of these archives were changed.
pub(super) const DATE: u64 = 784_111_777;

/// An entry of an archive: its name, and what it is.
pub(super) enum Entry<'a> {
    File(&'a str, u64, &'a [u8]),
    Symbolic(&'a str, &'a str),
    Hard(&'a str, &'a str),
}

/// An archive as POSIX.1-1988 has it.
pub(super) fn archive<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries {
        let (name, date, sort, target, content) = match entry {
            Entry::File(name, date, content) => (name, date, b'0', "", content),
            Entry::Symbolic(name, target) => (name, DATE, b'2', target, &b""[..]),
            Entry::Hard(name, target) => (name, DATE, b'1', target, &b""[..]),
        };
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(format!("{date:011o}\0").as_bytes());
        header[148..156].fill(b' ');
        header[156] = sort;
        header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        all.extend_from_slice(&header);
        all.extend_from_slice(content);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

/// A file of more than one chunk.
pub(super) static LARGE: [u8; 200_000] = {
    let mut bytes = [0; 200_000];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
};

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// What the table speaks of.
pub(super) fn entries() -> Vec<Entry<'static>> {
    let files: &[(&str, &[u8])] = &[
        ("index.html", b"<h1>hi</h1>"),
        ("a.txt", LETTERS),
        ("style.css", b"body{}"),
        ("style.css.gz", b"GZIP"),
        ("style.css.br", b"BR"),
        ("style.css.zst", b"ZST"),
        ("app.js", b"app()"),
        ("app.js.gz", b"GZIP!"),
        ("folder.txt", b"plain"),
        ("folder.txt.gz/x", b"in a folder with the name of a packed form"),
        ("empty.css", b""),
        ("data.json", b"{}"),
        ("font.woff2", b"wOF2"),
        ("code.wasm", b"\0asm"),
        ("drawing.svg", b"<svg/>"),
        ("UPPER.HTML", b"<p>"),
        ("unknown.qqq", b"?"),
        ("README", b"read me"),
        ("caf\u{e9}.txt", b"coffee"),
        ("odd %?#<x>.txt", b"odd"),
        ("plus+equals=at@colon:.txt", b"marks"),
        ("pictures/large.png", &LARGE),
        ("pictures/a b.txt", b"spaces"),
        ("docs/index.html", b"docs"),
        ("docs/index.html.gz", b"DOCS"),
        ("sp ace/x", b""),
        ("odd/<script>.txt", b""),
        ("odd/a?b#c%d", b""),
        ("hidden/.secret", b"secret"),
        ("hidden/seen.txt", b""),
        (".env", b"PASSWORD=x"),
        (".git/config", b"[core]"),
        (".well-known/security.txt", b"security"),
    ];
    let files = files.iter().map(|&(name, content)| Entry::File(name, DATE, content));
    let others = [
        Entry::File("future.txt", 4_102_444_800, b"later"),
        Entry::File("undated.txt", 0, b"undated"),
        Entry::File("reproducible.txt", 1, b"always the same date"),
        Entry::Symbolic("link.txt", "a.txt"),
        Entry::Hard("hard.txt", "a.txt"),
        Entry::Symbolic("links/up.txt", "../a.txt"),
        Entry::Symbolic("links/root.txt", "/a.txt"),
        Entry::Symbolic("links/docs", "../docs"),
        Entry::Symbolic("links/chain.txt", "up.txt"),
        Entry::Symbolic("links/loop", "loop"),
        Entry::Symbolic("links/broken", "nothing"),
        Entry::Symbolic("links/out", "../../../etc"),
    ];
    files.chain(others).collect()
}
