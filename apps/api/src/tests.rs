//! The service as its clients see it, on a cable in simulated time.

extern crate std;

use super::*;
use core::net::Ipv4Addr;
use std::string::ToString;
use xenith::http::Url;
use xenith::http::client::{Client, Content, Limits, Request, Response};
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack};
use xenith::net::cable::{Options, cable};
use xenith::task::{Either, block_on, select};

/// What comes back for each request, a method, a path and a body: the status, and the content.
fn asked(requests: &[(&str, &str, &str)]) -> Vec<(u16, String)> {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (server, net) = (start(stack(a, 1), 80), stack(b, 2));
        let ask = async {
            let (mut client, mut all) = (Client::new(&net, Limits::default()), Vec::new());
            for (method, path, body) in requests {
                let url = format!("http://10.0.0.1{path}");
                let fields = [("Content-Type", json::TYPE)];
                let request = Request {
                    method,
                    body: body.as_bytes(),
                    fields: &fields,
                    ..Request::get(&url)
                };
                let take = async |_: &Url, answer: Response<'_>, content: &mut Content<'_>| {
                    let text = all_of(content).await?;
                    Ok((answer.status().0, text))
                };
                all.push(client.fetch(&request, take).await.unwrap());
            }
            client.close().await;
            all
        };
        match select(core::pin::pin!(ask), core::pin::pin!(server)).await {
            Either::First(all) => all,
            Either::Second(_) => panic!("the app ended"),
        }
    })
}

/// The whole content, as text.
async fn all_of<R: embedded_io_async::Read>(content: &mut R) -> Result<String, R::Error> {
    let (mut text, mut piece) = (String::new(), [0; 512]);
    loop {
        match content.read(&mut piece).await? {
            0 => return Ok(text),
            count => text += &String::from_utf8_lossy(&piece[..count]),
        }
    }
}

const FIRST: &str = r#"{"id":1,"from":"10.0.0.2","text":"a"}"#;

#[test]
fn notes_are_made_listed_given_and_deleted() {
    let answers = asked(&[
        ("GET", "/notes", ""),
        ("POST", "/notes", r#"{"text":"a"}"#),
        ("POST", "/notes", r#"{"text":"b","id":1}"#),
        ("GET", "/notes/1", ""),
        ("GET", "/notes", ""),
        ("DELETE", "/notes/1", ""),
        ("GET", "/notes/1", ""),
        ("DELETE", "/notes/1", ""),
    ]);
    let second = r#"{"id":2,"from":"10.0.0.2","text":"b"}"#;
    let (both, none) = (format!("[{FIRST},{second}]"), r#"{"title":"Not Found","status":404}"#);
    let expected = [
        (200, "[]"),
        (201, FIRST),
        (201, second),
        (200, FIRST),
        (200, &both),
        (204, ""),
        (404, none),
        (404, none),
    ];
    assert_eq!(answers, expected.map(|(status, text)| (status, text.to_string())));
}

#[test]
fn what_is_wrong_is_said_in_json() {
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(1024));
    for ((method, path, body), status, says) in [
        (("POST", "/notes", "{\"text\":\"\\q\"}"), 400, "the JSON is wrong: invalid escape"),
        (("POST", "/notes", "{}"), 400, "missing field `text`"),
        (("POST", "/notes", &long), 413, "no more than 1024 bytes"),
        (("PUT", "/notes", "x"), 405, "not allowed here"),
        (("GET", "/notes/x", ""), 404, "Not Found"),
        (("GET", "/", ""), 404, "There is no such page"),
    ] {
        let (found, text) = asked(&[(method, path, body)]).remove(0);
        let problem: Problem = json::parse(text.as_bytes()).unwrap();
        assert!(found == status && problem.status == status && text.contains(says), "{text}");
    }
}

/// What clients of RFC 9457 read.
#[derive(Deserialize)]
struct Problem {
    status: u16,
}

#[test]
fn a_list_that_is_full_takes_no_more() {
    let mut requests = std::vec![("POST", "/notes", r#"{"text":"a"}"#); 101];
    requests.extend([("DELETE", "/notes/1", ""), requests[0]]);
    let answers: Vec<u16> = asked(&requests).into_iter().map(|(status, _)| status).collect();
    assert_eq!(answers[98..], [201, 201, 409, 204, 201]);
}
