//! Files behind a router.

use super::*;
use crate::files::{Options, StaticFiles};
use storage::fs::Tree;
use storage::fs::built::Built;

/// The status, the field Location, and the content of the answer to a request.
fn asked(handler: &impl Handler, request: &str) -> (u16, String, String) {
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n");
    let (answer, reset, _) = served_by(handler, 0, &[sends(&request)]);
    assert!(!reset, "{answer}");
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    let to = head.split("\r\nLocation: ").nth(1).map(|it| it.split("\r\n").next().unwrap());
    (head[9..12].parse().unwrap(), to.unwrap_or_default().into(), content.into())
}

fn tree() -> Built {
    Built::new(&[("a.txt", b"text"), ("docs/index.html", b"<p>index"), ("list/b.txt", b"b")])
}

#[test]
fn files_that_are_mounted_are_below_that_path() {
    let health = async |exchange: &mut Exchange<'_>| exchange.respond(Status::OK, &[], b"ok").await;
    let inner = Router::new().mount("/files", StaticFiles::new(tree(), Options::default()));
    let router = Router::new().get("/files", health).mount("/deep", inner);
    for (request, status, location, content) in [
        ("GET /files", 200, "", "ok"),
        ("GET /deep/files/a.txt", 200, "", "text"),
        ("HEAD /deep/files/a.txt", 200, "", ""),
        // Relative links of an index have the place as their base only with a slash.
        ("GET /deep/files", 301, "/deep/files/", ""),
        ("GET /deep/files?x", 301, "/deep/files/?x", ""),
        ("GET /deep/files/docs?x", 301, "/deep/files/docs/?x", ""),
        ("GET /deep/files/docs/", 200, "", "<p>index"),
        ("GET /deep/files/none", 404, "", ""),
        ("GET /deep/files/../../a.txt", 200, "", "text"),
        ("GET /deep/files/%2e%2e/%2e%2e/files", 404, "", ""),
        ("GET /a.txt", 404, "", ""),
        ("POST /deep/files/a.txt", 405, "", ""),
        ("OPTIONS /deep/files/a.txt", 204, "", ""),
    ] {
        let (found, to, text) = asked(&router, request);
        assert_eq!((found, &*to), (status, location), "{request}");
        assert!(content.is_empty() || text == content, "{request}: {text}");
    }
}

#[test]
fn a_list_names_the_path_that_was_asked_for() {
    let router = Router::new().mount("/s", StaticFiles::new(tree(), Options::default()));
    for (path, title, up) in [("/s/", "/s/", false), ("/s/list/", "/s/list/", true)] {
        let (status, _, page) = asked(&router, &format!("GET {path}"));
        assert_eq!(status, 200);
        assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
        assert_eq!(page.contains("href=\"../\""), up, "{page}");
    }
}

#[test]
fn files_are_served_as_the_whole_of_a_server_and_as_a_fallback() {
    let files = StaticFiles::new(tree(), Options::default());
    assert_eq!(asked(&files, "GET /a.txt").2, "text");
    assert_eq!(asked(&files, "GET /docs").1, "/docs/");
    let router = Router::new().mount("/deep", Router::new().fallback(files));
    assert_eq!(asked(&router, "GET /deep/a.txt").2, "text");
    assert_eq!(asked(&router, "GET /deep/docs").1, "/deep/docs/");
}

#[test]
fn a_change_is_meant_for_what_is_there_or_for_nothing() {
    let files = StaticFiles::new(tree(), Options::default());
    // A handler that changes nothing, but says whether it would.
    let handler = async |exchange: &mut Exchange<'_>| {
        let request = exchange.request();
        if request.method() == Method::Get {
            return files.handle(exchange).await;
        }
        let node = files.tree().lookup(request.path().as_bytes()).await.ok();
        let status = if files.permits(&request, node.as_ref()) { 204 } else { 412 };
        exchange.respond(Status(status), &[], b"").await
    };
    let (head, _, _) = served_by(&handler, 0, &[sends("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")]);
    let tag = head.split("\r\nETag: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let date = "Sat, 01 Jan 2000 00:00:00 GMT";
    for (path, condition, permitted) in [
        ("/a.txt", "X: y", true),
        ("/a.txt", "If-Match: *", true),
        ("/a.txt", &format!("If-Match: {tag}"), true),
        ("/a.txt", &format!("If-Match: \"x\", {tag}"), true),
        ("/a.txt", &format!("If-Match: W/{tag}"), false),
        ("/a.txt", "If-Match: \"x\"", false),
        ("/a.txt", "If-None-Match: *", false),
        ("/a.txt", &format!("If-None-Match: {tag}"), false),
        ("/a.txt", "If-None-Match: \"x\"", true),
        // Files without a date were changed at no time, and this one is for reading alone.
        ("/a.txt", &format!("If-Unmodified-Since: {date}"), true),
        ("/a.txt", &format!("If-Modified-Since: {date}"), true),
        ("/new", "X: y", true),
        ("/new", "If-Match: *", false),
        ("/new", &format!("If-Match: {tag}"), false),
        ("/new", "If-None-Match: *", true),
        ("/new", &format!("If-None-Match: {tag}"), true),
        // What cannot be read permits nothing.
        ("/a.txt", "If-None-Match: x", false),
        ("/a.txt", "If-None-Match: \"x\", *", false),
        ("/a.txt", "If-None-Match: \"x\"\r\nIf-None-Match: x", false),
        ("/a.txt", "If-Match: *\r\nIf-Match: x", false),
        ("/a.txt", "If-None-Match:", false),
        ("/new", "If-None-Match: x", false),
        ("/new", "If-None-Match: *\r\nIf-None-Match: \"x\"", false),
        ("/new", "If-None-Match: \"x\"\r\nIf-None-Match: \"y\"", true),
    ] {
        let request = format!("PUT {path} HTTP/1.1\r\nHost: x\r\n{condition}\r\n\r\n");
        let (answer, _, _) = served_by(&handler, 0, &[sends(&request)]);
        let expected = if permitted { "HTTP/1.1 204 " } else { "HTTP/1.1 412 " };
        assert!(answer.starts_with(expected), "{path} {condition}: {answer}");
    }
}
