//! Whole answers, over two stacks on a cable.

#[path = "../../../../tests/http/files.rs"]
mod files;
#[path = "../../../../tests/http/cases.rs"]
mod table;
mod world;

use crate::Error;
use files::{DATE, Entry, LARGE, archive, entries};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;
use world::beside;
use xenith::http::files::Options;
use xenith::kv;

/// Asks for what stands in a table: how many cases there are, and which are not so.
fn wrong(table: &str, archive: Vec<u8>, options: Options) -> (usize, Vec<String>) {
    let cases = table::read(table).unwrap();
    let result = beside(archive, options, async |client| {
        let mut wrong = Vec::new();
        for case in &cases {
            if let Err(why) = table::judge(case, &client.send(&case.parts).await) {
                wrong.push(format!("{}: {why}", case.name));
            }
        }
        wrong
    });
    (cases.len(), result.unwrap())
}

#[test]
fn the_table_of_static_cases_is_kept() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/http/static.txt");
    let table = std::fs::read_to_string(table).unwrap();
    let (count, wrong) = wrong(&table, archive(entries()), Options::default());
    std::println!("static: {} of {count}", count - wrong.len());
    assert!(wrong.is_empty() && count >= 145, "{}", wrong.join("\n"));
}

#[test]
fn hidden_files_are_served_by_choice() {
    let cases = r"
file | site | 200 body=PASSWORD=x field=Content-Type:application/octet-stream | GET /.env\H\E
folder | site | 301 field=Location:/.git/ | GET /.git\H\E
list | site | 200 in=config | GET /.git/\H\E
listed | site | 200 in=.secret | GET /hidden/\H\E
";
    let options = Options { hidden: true, ..Options::default() };
    assert_eq!(wrong(cases, archive(entries()), options), (4, Vec::new()));
}

#[test]
fn a_max_age_is_in_each_answer_with_a_file() {
    let cases = r#"
get | 9111 5.2.2.1 | 200 field=Cache-Control:max-age=3600 | GET /a.txt\H\E
head | 9111 5.2.2.1 | 200 field=Cache-Control:max-age=3600 | HEAD /a.txt\H\E
not-modified | 9111 4.3.4 | 304 field=Cache-Control:max-age=3600 | GET /a.txt\H\r\nIf-None-Match: *\E
part | 9111 5.2.2.1 | 206 field=Cache-Control:max-age=3600 | GET /a.txt\H\r\nRange: bytes=0-0\E
list | 9111 5.2.2.1 | 200 field=Cache-Control:max-age=3600 | GET /pictures/\H\E
nothing | 9111 4.2.2 | 404 field=Cache-Control:no-cache | GET /nothing\H\E
redirect | 9111 4.2.2 | 301 field=Cache-Control:no-cache | GET /docs\H\E
"#;
    let options = Options { max_age: 3600, ..Options::default() };
    assert_eq!(wrong(cases, archive(entries()), options), (7, Vec::new()));
}

#[test]
fn a_site_has_its_own_page_for_nothing() {
    let cases = r"
get | site | 404 body=<p>mine field=Content-Type:text/html;\_charset=utf-8 | GET /nothing\H\E
head | site | 404 size=0 field=Content-Length:7 | HEAD /nothing\H\E
hidden | site | 404 body=<p>mine | GET /.env\H\E
range | site | 404 body=<p>mine without=ETag | GET /nothing/x\H\r\nRange: bytes=0-0\E
condition | site | 404 body=<p>mine | GET /nothing\H\r\nIf-None-Match: *\E
slash | site | 404 body=<p>mine | GET /x%2Fy\H\E
itself | site | 200 body=<p>mine | GET /404.html\H\E
wrong | site | 400 not=mine | GET /%zz\H\E
icon | site | 200 body=icon field=Content-Type:image/vnd.microsoft.icon | GET /favicon.ico\H\E
";
    let files = [
        Entry::File("404.html", DATE, b"<p>mine"),
        Entry::File("favicon.ico", DATE, b"icon"),
        Entry::File(".env", DATE, b""),
    ];
    assert_eq!(wrong(cases, archive(files), Options::default()), (9, Vec::new()));
}

#[test]
fn parts_are_delimited_by_the_grammar() {
    let answer = beside(archive(entries()), Options::default(), async |client| {
        client.ask("GET /a.txt", "Range: bytes=0-1,-2\r\n").await
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
    assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    assert_eq!(answer.field("Content-Length").unwrap(), expected.len().to_string());
}

#[test]
fn parts_of_a_large_file_are_its_bytes() {
    beside(archive(entries()), Options { cache: 0, ..Options::default() }, async |client| {
        let whole = client.ask("GET /pictures/large.png", "").await;
        assert!(whole.body == LARGE);
        let answer = client
            .ask("GET /pictures/large.png", "Range: bytes=100000-199999,65530-65540\r\n")
            .await;
        let content = &answer.body;
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
        assert_eq!(client.ask("GET /many/00000.txt", "").await.body, b"x");
        assert_eq!(client.ask("GET /many/09999.txt", "").await.body, b"x");
        client.ask("GET /many/", "").await
    });
    let page = String::from_utf8(answer.unwrap().body).unwrap();
    let links = page.split("<a href=\"./").skip(1).map(|link| link.split('"').next().unwrap());
    assert!(links.eq((0..10_000).map(|at| format!("{at:05}.txt"))));
    assert!(page.ends_with("</html>\n"));
}

#[test]
fn what_is_no_archive_is_refused() {
    let nothing = beside(std::vec![0; 4096], Options::default(), async |_| ());
    assert_eq!(nothing, Err(Error::Disk(kv::Error::OtherFormat)));
}
