//! Whole answers, over two stacks on a cable.

extern crate std;

mod world;

use crate::{Error, Options};
use devices::kv;
use std::format;
use std::string::String;
use std::string::ToString;
use std::vec::Vec;
use world::{Answer, DATE, Entry, archive, beside};

static LARGE: [u8; 200_000] = {
    let mut bytes = [0; 200_000];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
};

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// What the table of cases speaks of.
fn entries() -> Vec<Entry<'static>> {
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

/// Whether `answer` is as a line of the table says: nothing, or what is not.
fn judge(answer: &Answer, status: &str, rest: &str) -> Result<(), String> {
    if answer.status.to_string() != status {
        return Err(format!("{} instead of {status}", answer.status));
    }
    let content = String::from_utf8_lossy(&answer.content);
    for check in rest.split("&&").map(str::trim).filter(|check| !check.is_empty()) {
        let (not, plain) = check.strip_prefix('!').map_or((false, check), |rest| (true, rest));
        let holds = if let Some(text) = plain.strip_prefix('=') {
            content == text
        } else if let Some(text) = plain.strip_prefix('~') {
            content.contains(text)
        } else if let Some(length) = plain.strip_prefix('#') {
            answer.content.len().to_string() == length
        } else if let Some((name, value)) = plain.split_once(": ") {
            answer.field(name) == Some(value)
        } else if let Some((name, part)) = plain.split_once('~') {
            answer.field(name).is_some_and(|value| value.contains(part))
        } else {
            answer.field(plain).is_some()
        };
        if holds == not {
            return Err(check.into());
        }
    }
    // What is always so (RFC 9110, sections 6.6.1, 8.6 and 15.4.5).
    let length = answer.field("Content-Length");
    let fits = match (answer.status, length) {
        (204 | 304, length) => length.is_none() && answer.content.is_empty(),
        (_, Some(length)) => {
            answer.content.is_empty() || length == answer.content.len().to_string()
        }
        (_, None) => true,
    };
    if !fits || answer.field("Date").is_none() {
        return Err("its length or date".into());
    }
    Ok(())
}

/// Asks for what stands in the table: how many cases there are, and which are not so.
fn wrong(cases: &'static str, archive: Vec<u8>, options: Options) -> (usize, Vec<String>) {
    let lines = cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let cases: Vec<Vec<&str>> =
        lines.map(|line| line.split('|').map(str::trim).collect()).collect();
    let result = beside(archive, options, async |client| {
        let mut wrong = Vec::new();
        for case in &cases {
            let &[section, request, fields, status, rest] = &case[..] else {
                panic!("{case:?} does not have five parts");
            };
            let lines: Vec<&str> = fields.split("&&").map(str::trim).collect();
            let answer = client.ask(request, &lines.join("\n")).await;
            if let Err(why) = judge(&answer, status, rest) {
                wrong.push(format!("{section} | {request} | {fields}: {why}\n{}", answer.head));
            }
        }
        wrong
    });
    (cases.len(), result.unwrap())
}

#[test]
fn the_table_of_cases_is_kept() {
    let (count, wrong) = wrong(include_str!("cases.txt"), archive(entries()), Options::default());
    std::println!("static: {} of {count}", count - wrong.len());
    assert!(wrong.is_empty() && count >= 145, "{}", wrong.join("\n"));
}

#[test]
fn hidden_files_are_served_by_choice() {
    let cases = "\
        site | GET /.env | | 200 | =PASSWORD=x && Content-Type: application/octet-stream\n\
        site | GET /.git | | 301 | Location: /.git/\n\
        site | GET /.git/ | | 200 | ~config\n\
        site | GET /hidden/ | | 200 | ~.secret\n";
    let options = Options { hidden: true, ..Options::default() };
    assert_eq!(wrong(cases, archive(entries()), options).1, [""; 0]);
}

#[test]
fn a_max_age_is_in_each_answer_with_a_file() {
    let cases = "\
        9111 5.2.2.1 | GET /a.txt | | 200 | Cache-Control: max-age=3600\n\
        9111 5.2.2.1 | HEAD /a.txt | | 200 | Cache-Control: max-age=3600\n\
        9111 4.3.4 | GET /a.txt | If-None-Match: * | 304 | Cache-Control: max-age=3600\n\
        9111 5.2.2.1 | GET /a.txt | Range: bytes=0-0 | 206 | Cache-Control: max-age=3600\n\
        9111 5.2.2.1 | GET /pictures/ | | 200 | Cache-Control: max-age=3600\n\
        9111 4.2.2 | GET /nothing | | 404 | Cache-Control: no-cache\n\
        9111 4.2.2 | GET /docs | | 301 | Cache-Control: no-cache\n";
    let options = Options { max_age: 3600, ..Options::default() };
    assert_eq!(wrong(cases, archive(entries()), options).1, [""; 0]);
}

#[test]
fn a_site_has_its_own_page_for_nothing() {
    let cases = "\
        site | GET /nothing | | 404 | =<p>mine && Content-Type: text/html; charset=utf-8\n\
        site | HEAD /nothing | | 404 | #0 && Content-Length: 7\n\
        site | GET /.env | | 404 | =<p>mine\n\
        site | GET /nothing/x | Range: bytes=0-0 && If-None-Match: * | 404 | =<p>mine && !ETag\n\
        site | GET /x%2Fy | | 404 | =<p>mine\n\
        site | GET /404.html | | 200 | =<p>mine\n\
        site | GET /%zz | | 400 | !~mine\n\
        site | GET /favicon.ico | | 200 | =icon && Content-Type: image/vnd.microsoft.icon\n";
    let files = [
        Entry::File("404.html", DATE, b"<p>mine"),
        Entry::File("favicon.ico", DATE, b"icon"),
        Entry::File(".env", DATE, b""),
    ];
    assert_eq!(wrong(cases, archive(files), Options::default()).1, [""; 0]);
}

#[test]
fn parts_are_delimited_by_the_grammar() {
    let answer = beside(archive(entries()), Options::default(), async |client| {
        client.ask("GET /a.txt", "Range: bytes=0-1,-2").await
    });
    let answer = answer.unwrap();
    let kind = answer.field("Content-Type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range, content| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {range}/26\r\n\r\n{content}\r\n"
        )
    };
    let expected = format!("{}{}--{boundary}--\r\n", part("0-1", "ab"), part("24-25", "yz"));
    assert_eq!(String::from_utf8_lossy(&answer.content), expected);
    assert_eq!(answer.field("Content-Length").unwrap(), expected.len().to_string());
}

#[test]
fn parts_of_a_large_file_are_its_bytes() {
    beside(archive(entries()), Options { cache: 0, ..Options::default() }, async |client| {
        let whole = client.ask("GET /pictures/large.png", "").await;
        assert!(whole.content == LARGE);
        let answer =
            client.ask("GET /pictures/large.png", "Range: bytes=100000-199999,65530-65540").await;
        let content = &answer.content;
        for part in [&LARGE[100_000..], &LARGE[65_530..65_541]] {
            assert!(content.windows(part.len()).any(|window| window == part));
        }
    })
    .unwrap();
}

#[test]
fn a_list_has_any_length() {
    let names: Vec<String> = (0..10_000).rev().map(|at| format!("many/{at:05}.txt")).collect();
    let files = names.iter().map(|name| Entry::File(name, DATE, b"x"));
    let answer = beside(archive(files), Options::default(), async |client| {
        assert_eq!(client.ask("GET /many/00000.txt", "").await.content, b"x");
        assert_eq!(client.ask("GET /many/09999.txt", "").await.content, b"x");
        client.ask("GET /many/", "").await
    });
    let page = String::from_utf8(answer.unwrap().content).unwrap();
    let links = page.split("<a href=\"./").skip(1).map(|link| link.split('"').next().unwrap());
    assert!(links.eq((0..10_000).map(|at| format!("{at:05}.txt"))));
    assert!(page.ends_with("</html>\n"));
}

#[test]
fn what_is_no_archive_is_refused() {
    let nothing = beside(std::vec![0; 4096], Options::default(), async |_| ());
    assert_eq!(nothing, Err(Error::Disk(kv::Error::OtherFormat)));
}
