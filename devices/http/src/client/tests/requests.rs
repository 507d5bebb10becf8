//! What a client sends, where redirects take it, connections and times.

use super::*;
use devices::net::cable::{End, Options, cable};
use ip::config::Ipv4;
use ip::{Settings, Stack};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A redirect of this status.
fn to(status: u16, location: &str) -> Vec<Act> {
    let text = format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 3\r\n\r\n");
    vec![says(text + "no\n"), Act::Listens]
}

fn times(acts: &[Act], count: usize) -> Vec<Act> {
    core::iter::repeat_n(acts, count).flatten().cloned().collect()
}

/// What is sent for a request that is answered at once, and what becomes of it.
fn sent(request: &Request<'_>) -> (String, String) {
    let world = World::new([vec![says(OK)]]);
    let result = ask(&world, Limits::default(), &[*request]).remove(0);
    (world.come().pop().unwrap_or_default(), result)
}

#[test]
fn requests_are_written_by_the_grammar() {
    let common = "User-Agent: Xenith\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let post = Request { method: "POST", ..Request::get("http://a/") };
    // The section of RFC 9112 or 9110, the request, its first line and host, and the rest.
    let cases: &[(&str, Request<'_>, &str, &str)] = &[
        ("9112 3.2.1", Request::get("http://a/b?c"), "GET /b?c\nHost: a", common),
        ("9112 3.2.1: no path", Request::get("http://a"), "GET /\nHost: a", common),
        ("9112 3.2.1: query", Request::get("http://a?c"), "GET /?c\nHost: a", common),
        ("9110 4.2.5: fragment", Request::get("http://a/b#c"), "GET /b\nHost: a", common),
        ("9110 7.2: port", Request::get("http://a:81/"), "GET /\nHost: a:81", common),
        ("9110 4.2.3: port 80", Request::get("http://a:80/"), "GET /\nHost: a", common),
        ("9110 7.2: IPv6", Request::get("http://[::1]:81/"), "GET /\nHost: [::1]:81", common),
        ("3986 2.1", Request::get("http://a/b c?\u{e9}"), "GET /b%20c?%C3%A9\nHost: a", common),
        (
            "9110 11.6.2, RFC 7617 2",
            Request::get("http://Aladdin:open%20sesame@a/"),
            "GET /\nHost: a",
            &format!("{common}Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
        ),
        (
            "9112 3.2.4",
            Request { method: "OPTIONS", ..Request::get("http://a") },
            "OPTIONS *\nHost: a",
            common,
        ),
        (
            "9110 9.3.7",
            Request { method: "OPTIONS", ..Request::get("http://a/") },
            "OPTIONS /\nHost: a",
            common,
        ),
        ("9110 8.6", post, "POST /\nHost: a", &format!("{common}Content-Length: 0\r\n")),
        (
            "9110 8.6: body",
            Request { body: b"x=y", ..post },
            "POST /\nHost: a",
            &format!("{common}{form}Content-Length: 3\r\n"),
        ),
        (
            "9110 8.3",
            Request { body: b"{}", fields: &[("content-type", "application/json")], ..post },
            "POST /\nHost: a",
            &format!("{common}content-type: application/json\r\nContent-Length: 2\r\n"),
        ),
        (
            "9110 12.5.3",
            Request { decode: false, ..Request::get("http://a/") },
            "GET /\nHost: a",
            "User-Agent: Xenith\r\nAccept: */*\r\n",
        ),
        (
            "9110 5.3: some of the caller's",
            Request {
                fields: &[("X", "1"), ("x", "2"), ("user-agent", "me"), ("Accept", "")],
                ..Request::get("http://a/")
            },
            "GET /\nHost: a",
            "Accept-Encoding: gzip\r\nX: 1\r\nx: 2\r\nuser-agent: me\r\n",
        ),
        (
            "9110 9.1: a method of one's own",
            Request { method: "PURGE", ..Request::get("http://a/") },
            "PURGE /\nHost: a",
            common,
        ),
    ];
    for (section, request, begin, rest) in cases {
        let (line, host) = begin.split_once('\n').unwrap();
        let (sent, result) = sent(request);
        let body = String::from_utf8_lossy(request.body);
        assert_eq!(sent, format!("{line} HTTP/1.1\r\n{host}\r\n{rest}\r\n{body}"), "{section}");
        assert_eq!(result, "200 ok", "{section}");
    }
    let (text, _) = sent(&Request { fields: &[("Host", "b")], ..Request::get("http://a/") });
    assert!(text.contains("\r\nHost: b\r\n") && !text.contains("Host: a"), "{text}");
}

#[test]
fn what_makes_no_request_is_refused() {
    let get = Request::get("http://a/");
    for (request, why) in [
        (Request { method: "", ..get }, "method"),
        (Request { method: "GET /x", ..get }, "method"),
        (Request { method: "CONNECT", ..get }, "method"),
        (Request { method: "TRACE", body: b"x", ..get }, "TRACE"),
        (Request { fields: &[("", "x")], ..get }, "name"),
        (Request { fields: &[("A b", "x")], ..get }, "name"),
        (Request { fields: &[("A", "x\r\nB: y")], ..get }, "control character"),
        (Request { fields: &[("A", "x\0")], ..get }, "control character"),
        (Request { fields: &[("content-length", "3")], ..get }, "how long"),
        (Request { fields: &[("Transfer-Encoding", "chunked")], ..get }, "how long"),
        (Request::get("https://a/"), "no TLS"),
        (Request::get("http://nowhere/"), "no address for that name"),
    ] {
        let (sent, result) = sent(&request);
        assert!(result.starts_with("error: http") && result.contains(why), "{result}");
        assert_eq!(sent, "", "{result}");
    }
}

#[test]
fn redirects_lead_by_the_rules() {
    // The section of RFC 9110, the method, the status, what Location says, the request that
    // follows, and where to.
    let cases = [
        ("15.4.2", "GET", 301, "/b", "GET /b", "a"),
        ("15.4.3", "GET", 302, "b?c", "GET /x/b?c", "a"),
        ("15.4.4", "GET", 303, "?c", "GET /x/y?c", "a"),
        ("15.4.8", "GET", 307, "//b", "GET /", "b"),
        ("15.4.9", "GET", 308, "http://b/c", "GET /c", "b"),
        ("15.4.2: POST", "POST", 301, "/b", "GET /b", "a"),
        ("15.4.3: POST", "POST", 302, "/b", "GET /b", "a"),
        ("15.4.4: POST", "POST", 303, "/b", "GET /b", "a"),
        ("15.4.8: POST", "POST", 307, "/b", "POST /b", "a"),
        ("15.4.9: POST", "POST", 308, "/b", "POST /b", "a"),
        ("15.4.2: PUT", "PUT", 301, "/b", "PUT /b", "a"),
        ("15.4.4: PUT", "PUT", 303, "/b", "GET /b", "a"),
        ("15.4.4: HEAD", "HEAD", 303, "/b", "HEAD /b", "a"),
        ("15.4.3: HEAD", "HEAD", 302, "/b", "HEAD /b", "a"),
        ("RFC 3986 5.2.4", "GET", 302, "../../c/./d/../e", "GET /c/e", "a"),
        ("10.2.2: raw", "GET", 302, "/b c\u{e9}", "GET /b%20c%C3%A9", "a"),
        ("10.2.2: itself", "GET", 302, "#there", "GET /x/y", "a"),
        ("10.2.2: port", "GET", 302, "http://a:81/", "GET /", "a:81"),
    ];
    for (section, method, status, location, line, host) in cases {
        let mut script = to(status, location);
        if method == "HEAD" {
            script[0] = says(format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\n\r\n"));
        }
        script.push(says(OK));
        let world = World::new([script, vec![says(OK)]]);
        let body: &[u8] = if method.starts_with('P') { b"x=y" } else { b"" };
        let request = Request { method, body, ..Request::get("http://a/x/y") };
        let result = ask(&world, Limits::default(), &[request]).remove(0);
        assert!(result.starts_with("200 "), "{section}: {result}");
        let (all, kept) = (world.come().concat(), line.starts_with('P'));
        let next = all.rfind(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n"));
        let next = next.unwrap_or_else(|| panic!("{section}: {all}"));
        assert_eq!(all[next..].ends_with("\r\n\r\nx=y"), kept, "{section}: {all}");
        assert_eq!(all[next..].contains("Content-"), kept, "{section}: {all}");
    }
}

#[test]
fn redirects_that_lead_nowhere_are_said_or_are_pages() {
    let ask_one = |scripts: Vec<Vec<Act>>, limits: Limits| {
        ask(&World::new(scripts), limits, &[Request::get("http://a/x")]).remove(0)
    };
    let all = Limits::default();
    for (location, why) in [
        (
            "https://b/",
            "the server leads to https://b/: https is not supported, as there is no TLS",
        ),
        ("ftp://b/", "the server leads to ftp://b/: the address has to begin with http://"),
        ("//", "the server leads to //: the address names no host"),
        ("http://u:p@b/", "the address names a user"),
        ("http://b:0/", "the address names no host, or no port"),
        ("/a\x1bb", "leads to /a\\x1bb: the address holds a control character"),
    ] {
        let result = ask_one(vec![to(302, location)], all);
        assert!(result.starts_with("error: http://a/x: ") && result.contains(why), "{result}");
    }
    // One that does not say where to, or that is none (RFC 9110, section 15.4).
    for (status, fields) in [
        ("302 x", ""),
        ("301 x", "Location:\r\n"),
        ("300 x", "Location: /b\r\n"),
        ("305 x", "Location: /b\r\n"),
        ("201 x", "Location: /b\r\n"),
    ] {
        let text = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 2\r\n\r\nok");
        assert_eq!(ask_one(vec![vec![says(text)]], all), format!("{} ok", &status[..3]));
    }
    let few = Limits { redirects: 2, ..all };
    let circle: Vec<Act> = times(&[to(302, "/b"), to(302, "/x")].concat(), 20);
    let result = ask_one(vec![circle.clone()], few);
    assert_eq!(result, "error: http://a/x: there are more than 2 redirects");
    assert!(ask_one(vec![circle], all).contains("more than 20 redirects"));
    let chain: Vec<Act> = [times(&to(302, "/b"), 20), vec![says(OK)]].concat();
    assert_eq!(ask_one(vec![chain], all), "200 ok");
    // Whoever follows none sees the redirect itself.
    let none = Limits { redirects: 0, ..all };
    assert_eq!(ask_one(vec![to(302, "/b")], none), "302 no\n");
    // The address that failed is that of the redirect.
    let result = ask_one(vec![to(302, "//next:81/"), vec![says("x"), Act::Closes]], all);
    assert!(result.starts_with("error: http://next:81/: the answer is not one of"), "{result}");
}

#[test]
fn secrets_stay_with_the_server_that_they_are_for() {
    let fields = &[("Authorization", "me"), ("cookie", "c"), ("X", "1"), ("Host", "v")];
    let secret = |text: &str| {
        ["Authorization", "cookie", "Host: v"].map(|name| text.contains(name)) == [true; 3]
    };
    let none = |text: &str| {
        ["Authorization", "ookie", "Host: v"].map(|name| text.contains(name)) == [false; 3]
    };
    let request = Request { fields, ..Request::get("http://a/") };
    for (location, stays) in
        [("/b", true), ("http://A:80/b", true), ("http://b/", false), ("http://a:81/", false)]
    {
        let world = World::new([[to(302, location), vec![says(OK)]].concat(), vec![says(OK)]]);
        assert_eq!(ask(&world, Limits::default(), &[request]), ["200 ok"]);
        let all = world.come().concat();
        let (first, second) = all.split_once("\r\n\r\n").unwrap();
        assert!(secret(first), "{all}");
        assert!(if stays { secret(second) } else { none(second) }, "{location}: {all}");
        assert!(second.contains("X: 1"), "{all}");
    }
    // Nor do they come back by way of another one.
    let world = World::new([to(302, "//b/"), to(302, "//a/"), vec![says(OK)]]);
    let request = Request::get("http://user:password@a/");
    assert_eq!(ask(&world, Limits::default(), &[request]), ["200 ok"]);
    let come = world.come();
    assert!(come[0].contains("Authorization: Basic"), "{come:?}");
    assert!(!come[1].contains("Authorization") && !come[2].contains("Authorization"), "{come:?}");
}

#[test]
fn a_connection_serves_many_requests() {
    let get = Request::get;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let kept = "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok";
    // Of each answer on the first connection: is the next request heard there?
    for (first, again) in [
        (OK, true),
        (chunked, true),
        (kept, true),
        ("HTTP/1.1 204 x\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, close\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        // What is doubtful, and what nobody asked for (RFC 9112, sections 6.1 and 9.2).
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nevil", false),
        ("HTTP/1.1 204 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil", false),
    ] {
        let script = vec![says(first), Act::Listens, says(OK), Act::Closes];
        let world = World::new([script, vec![says(OK)]]);
        let results = ask(&world, Limits::default(), &[get("http://a/1"), get("http://a/2")]);
        assert_eq!(results[1], "200 ok", "{first}");
        assert_eq!(world.come().len(), if again { 1 } else { 2 }, "{first}");
        assert!(world.come().concat().contains("GET /2 "), "{first}");
    }
    // Another server is another connection.
    let world = World::new([vec![says(OK), Act::Listens, says(OK)], vec![says(OK)]]);
    let two = [get("http://a/1"), get("http://b/2")];
    assert_eq!(ask(&world, Limits::default(), &two), ["200 ok", "200 ok"]);
    assert_eq!(world.come().len(), 2);
}

#[test]
fn a_connection_that_was_closed_meanwhile_costs_no_request() {
    let get = Request::get;
    // It ends at once, before the next request, or when that has come.
    for end in [
        vec![Act::Closes],
        vec![Act::Resets],
        vec![Act::Listens, Act::Closes],
        vec![Act::Listens, says(""), Act::Resets],
        vec![says("HTTP/1.1 408 x\r\n\r\n"), Act::Closes],
    ] {
        let script = [vec![says(OK)], end.clone()].concat();
        let world = World::new([script, vec![says(OK)]]);
        let two = [get("http://a/1"), get("http://a/2")];
        assert_eq!(ask(&world, Limits::default(), &two), ["200 ok", "200 ok"], "{end:?}");
        assert_eq!(world.come().len(), 2, "{end:?}");
    }
    // What must not be done twice is not tried on an old connection (RFC 9110, section 9.2.2).
    let world = World::new([vec![says(OK), Act::Listens, Act::Closes], vec![says(OK)]]);
    let post = Request { method: "POST", ..get("http://a/2") };
    assert_eq!(ask(&world, Limits::default(), &[get("http://a/1"), post]), ["200 ok", "200 ok"]);
    assert!(world.come()[1].starts_with("POST"));
    // Nor is anything tried again once an answer began.
    let begun = vec![says(OK), Act::Listens, says("HTTP"), Act::Closes];
    let world = World::new([begun, vec![says(OK)]]);
    let results = ask(&world, Limits::default(), &[get("http://a/1"), get("http://a/2")]);
    assert!(results[1].contains("breaks off in its head"), "{results:?}");
}

#[test]
fn an_answer_before_the_request_is_sent_counts() {
    let body = vec![b'x'; 100_000];
    let post = Request { method: "POST", body: &body, ..Request::get("http://a/") };
    let early = "HTTP/1.1 413 x\r\nContent-Length: 2\r\n\r\nno";
    let world = World::new([vec![says(early), Act::Closes]]);
    assert_eq!(ask(&world, Limits::default(), &[post]), ["413 no"]);
}

fn stack(end: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
}

#[test]
fn who_says_the_type_of_an_answer_before_it_reads_gets_all_if_that_is_wanted() {
    kernel::testing::simulate_time();
    for wanted in [true, false] {
        block_on(async {
            let (a, b) = cable(Options::default());
            let (server, net) = (stack(a, 1), stack(b, 2));
            let listener = server.bind(ip::any(80)).await.unwrap();
            let body = vec![b'x'; 1_000_000];
            let answering = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut all, mut piece) = (Vec::new(), vec![0; 1000]);
                while let Ok(count @ 1..) = stream.read(&mut piece).await {
                    if all.is_empty() {
                        stream
                            .write_all(b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\n")
                            .await
                            .unwrap();
                        stream.flush().await.unwrap();
                    }
                    all.extend_from_slice(&piece[..count]);
                    if all.ends_with(&body) {
                        stream.write_all(b"ok").await.unwrap();
                        stream.flush().await.unwrap();
                        break;
                    }
                }
            };
            let post = Request { method: "POST", body: &body, ..Request::get("http://10.0.0.1/") };
            let client = Client::new(&net, Limits::default());
            let mut client = if wanted { client.sends_all() } else { client };
            let take =
                async |_: &Url, _: Response<'_>, content: &mut Content<'_>| all(content, 333).await;
            let (result, ()) = kernel::task::join(client.fetch(&post, take), answering).await;
            assert_eq!(result.ok(), wanted.then(|| b"ok".to_vec()));
        });
    }
}

#[test]
fn an_answer_is_heard_though_the_upload_is_reset() {
    kernel::testing::simulate_time();
    let early = b"HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\nno";
    block_on(async {
        let (a, b) = cable(Options::default());
        let (server, net) = (stack(a, 1), stack(b, 2));
        for (read, arrives) in [(1000, true), (1000, false), (100_000, true), (100_000, false)] {
            let listener = server.bind(ip::any(80)).await.unwrap();
            let answering = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut left = read;
                while left > 0 {
                    left -= stream.read(&mut vec![0; left]).await.unwrap();
                }
                // What still comes is read by nobody, so that the end is a reset.
                stream.write_all(early).await.unwrap();
                if arrives {
                    stream.flush().await.unwrap();
                } else {
                    stream.shutdown().await.unwrap();
                }
            };
            let body = vec![b'x'; 1_000_000];
            let post = Request { method: "POST", body: &body, ..Request::get("http://10.0.0.1/") };
            let mut client = Client::new(&net, Limits::default());
            let take = async |_: &Url, answer: Response<'_>, content: &mut Content<'_>| {
                Ok((answer.status().0, all(content, 333).await?))
            };
            let (result, ()) = kernel::task::join(client.fetch(&post, take), answering).await;
            assert_eq!(result, Ok((401, b"no".to_vec())), "{read} {arrives}");
        }
    });
}

#[test]
fn every_address_has_its_chance() {
    let at = |name: &str| Request::get(["http://", name, ":81/"].concat().leak());
    let world = World::new([vec![says(OK)]]);
    // One that is silent delays by a quarter of a second (RFC 8305, section 5), one that
    // refuses by nothing.
    for (name, delay) in [("both", 250), ("next", 0)] {
        let world = World::new([vec![says(OK)], vec![says(OK)]]);
        assert_eq!(ask(&world, Limits::default(), &[at(name)]), ["200 ok"]);
        let tried = world.tried.borrow();
        assert_eq!(tried.len(), 2);
        assert_eq!(tried[1].1, tried[0].1.saturating_add(Duration::from_millis(delay)), "{name}");
    }
    let result = ask(&world, Limits::default(), &[at("none")]).remove(0);
    let expected = "error: http://none:81/: 192.0.2.2:81: the connection was refused; \
                    192.0.2.1:81: the peer does not answer";
    assert_eq!(result, expected);
    let result = ask(&World::new([]), Limits::default(), &[Request::get("http://[::1]/")]);
    assert_eq!(result, ["error: http://[::1]/: [::1]:80: the connection was refused"]);
}

#[test]
fn each_wait_has_its_limit_and_its_name() {
    let limits = Limits {
        connect: Duration::from_secs(3),
        response: Duration::from_secs(5),
        total: Duration::from_secs(60),
        ..Limits::default()
    };
    let drips = |text: &str, pause: u64| {
        let drop = |byte: u8| [says([byte]), Act::Waits(pause)];
        text.bytes().flat_map(drop).collect::<Vec<_>>()
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "x".repeat(99));
    for (url, script, why, most) in [
        ("http://192.0.2.1/", vec![], "192.0.2.1:80: the peer does not answer", 3),
        ("http://a/", vec![], "it does not answer within 5 s", 5),
        ("http://a/", vec![says("HTTP/1.1 2")], "does not end the answer's head within 5 s", 5),
        ("http://a/", drips("HTTP/1.1 200 slowly", 2), "answer's head within 5 s", 5),
        ("http://a/", vec![says(chunked)], "no more of the body comes within 5 s", 5),
        ("http://a/", vec![says("HTTP/1.1 200 OK\r\n\r\nx")], "of the body comes within 5 s", 5),
        ("http://a/", drips(&long, 1), "answer's head within 5 s", 5),
        (
            "http://a/",
            [vec![says(&long[..60])], drips(&long[60..], 4)].concat(),
            "it takes too long: it is not done within 60 s",
            60,
        ),
        (
            "http://a/",
            times(&[to(302, "/"), vec![Act::Waits(4)]].concat(), 20),
            "not done within",
            60,
        ),
    ] {
        let world = World::new([script]);
        kernel::testing::simulate_time();
        let begun = Instant::now();
        let result = ask(&world, limits, &[Request::get(url)]).remove(0);
        assert!(result.starts_with("error: ") && result.contains(why), "{result}, not {why}");
        assert_eq!(begun.elapsed().as_secs(), most, "{result}");
    }
}
