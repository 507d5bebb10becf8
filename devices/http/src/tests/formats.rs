//! Bodies and answers of the usual formats.

use super::*;
use crate::events::{Event, Events};
use crate::{form, json};
use std::string::ToString;

/// Adds numbers in JSON, greets by a form, counts in events.
async fn formats(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    match exchange.request().path() {
        "/sum" => {
            let Some(all) = json::read::<Vec<u32>>(exchange, 100).await? else { return Ok(()) };
            json::respond(exchange, Status::OK, &all.iter().sum::<u32>()).await
        }
        "/greet" => {
            let Some(form) = form::read(exchange, 100).await? else { return Ok(()) };
            let name = form.get("name").unwrap_or_default();
            exchange.respond(Status::OK, &[], name.as_bytes()).await
        }
        path => {
            let mut events = Events::begin(exchange).await?;
            for number in 0..2 {
                let event = Event::new("a\nb").id(if path == "/bad" { "\n" } else { "7" });
                events.send(&event.name(&number.to_string())).await?;
                if events.wait(sleep(Duration::from_secs(40))).await?.is_none() {
                    break;
                }
            }
            events.finish().await
        }
    }
}

/// The status, and what follows the head.
fn posted(path: &str, kind: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    let (answer, ..) = served_by(&formats, 0, &[sends(&request), sends(body)]);
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    (head.get(9..12).unwrap().parse().unwrap(), content.into())
}

#[test]
fn json_is_read_and_what_is_wrong_with_it_is_said() {
    let sum = |body: &str| posted("/sum", "application/json", body);
    assert_eq!(sum("[1, 2, 3]"), (200, "6".into()));
    assert_eq!(posted("/sum", "Application/JSON ; charset=utf-8", "[]"), (200, "0".into()));
    assert_eq!(posted("/sum", "application/problem+json", "[]"), (200, "0".into()));
    for (body, says) in [
        ("[1,\n2,\nx]", "the JSON is wrong: expected value at line 3 column 1."),
        ("[1, -2]", "invalid value: integer `-2`, expected u32 at line 1 column 6."),
        ("", "EOF while parsing a value at line 1 column 0."),
        (&"[".repeat(50), "more than 32 deep at line 1 column 33."),
    ] {
        let (status, text) = sum(body);
        assert!(status == 400 && text.contains(says), "{body}: {text}");
    }
    let (status, text) = sum(&" ".repeat(101));
    assert!(status == 413 && text.contains("no more than 100 bytes."), "{text}");
    for kind in ["text/plain", "", "application/jsonp", "json", "application/xml; a=+json"] {
        let (status, text) = posted("/sum", kind, "[]");
        assert!(status == 415 && text.contains("the type application/json."), "{kind}: {text}");
    }
}

#[test]
fn forms_are_read() {
    let greet = |kind: &str, body: &str| posted("/greet", kind, body);
    assert_eq!(greet(form::TYPE, "x=1&name=J%C3%BCrgen+M&name=2"), (200, "J\u{fc}rgen M".into()));
    assert_eq!(greet(form::TYPE, "name"), (200, String::new()));
    assert_eq!(greet(form::TYPE, "name=%zz%"), (200, "%zz%".into()));
    assert_eq!(greet("multipart/form-data", "name=x").0, 415);
    assert_eq!(greet(form::TYPE, &"x".repeat(101)).0, 413);
}

#[test]
fn events_are_sent_as_they_come_and_comments_between_them() {
    let (answer, reset, time) = served_by(&formats, 0, &[sends(GET)]);
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nContent-Type: text/event-stream\r\n"), "{head}");
    let event = |name| format!("20\r\nevent: {name}\nid: 7\ndata: a\ndata: b\n\n\r\n");
    let alive = "3\r\n:\n\n\r\n".repeat(2);
    let expected = format!("{}{alive}{}{alive}0\r\n\r\n", event(0), event(1));
    assert_eq!(content, expected);
    assert!(!reset && time >= Duration::from_secs(80), "{time:?}");
    let (answer, ..) = served_by(&formats, 0, &[sends(&GET.replace("GET", "HEAD"))]);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let (answer, reset, _) = served_by(&formats, 0, &[sends(&GET.replace("/a", "/bad"))]);
    assert!(reset && answer.ends_with("\r\n\r\n"), "nothing of a wrong event: {answer}");
}
