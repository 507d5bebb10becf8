//! What an exchange gives beside the usual response.

use super::*;

/// Says `hello` and echoes what comes, by a protocol of its own; tells of the request and the
/// response elsewhere.
async fn handler(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    match exchange.request().path() {
        "/upgrade" => {
            let fields = [("Connection", "Upgrade"), ("Upgrade", "echo")];
            let upgraded = exchange.upgrade(&fields).await?;
            let (mut reader, mut writer) = (&upgraded, &upgraded);
            writer.write_all(b"hello\n").await?;
            let mut piece = [0; 4];
            loop {
                match reader.read(&mut piece).await? {
                    0 => return writer.flush().await,
                    count => writer.write_all(&piece[..count]).await?,
                }
            }
        }
        "/twice" => {
            exchange.respond(Status::OK, &[], b"one").await?;
            exchange.respond(Status::OK, &[], b"two").await
        }
        "/dropped" => exchange.stream(Status::OK, &[], None).await.map(drop),
        _ => {
            let before = (exchange.status(), exchange.sent());
            assert_eq!(before, (None, 0));
            let ends = format!("{} {}", exchange.peer_addr(), exchange.local_addr());
            let version = exchange.request().version();
            let mut sink = exchange.stream(Status::CREATED, &[], None).await?;
            sink.print(format_args!("{ends} {version:?}")).await?;
            sink.write_all(b"!").await?;
            sink.finish().await?;
            assert_eq!(exchange.status(), Some(Status::CREATED));
            let head = exchange.request().method() == Method::Head;
            assert_eq!(exchange.sent(), if head { 0 } else { ends.len() as u64 + 8 });
            Ok(())
        }
    }
}

fn asked(request: &str, more: &[&str]) -> (String, bool) {
    let steps: Vec<_> = core::iter::once(request).chain(more.iter().copied()).map(sends).collect();
    let (answer, reset, _) = served_by(&handler, 0, &steps);
    (answer, reset)
}

#[test]
fn another_protocol_gets_all_that_came_and_comes() {
    let get = "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    let (answer, reset) = asked(&format!("{get}early "), &["and ", "late"]);
    assert_eq!(
        answer,
        "HTTP/1.1 101 Switching Protocols\r\nServer: Xenith\r\nUpgrade: echo\r\n\
         Connection: Upgrade\r\n\r\nhello\nearly and late"
    );
    assert!(!reset);
}

#[test]
fn an_upgrade_is_refused_where_it_cannot_be() {
    for request in [
        "GET /upgrade HTTP/1.0\r\n\r\n",
        "POST /upgrade HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let (answer, _) = asked(request, &[]);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[test]
fn a_second_response_and_one_without_an_end_reset_the_connection() {
    for path in ["/twice", "/dropped"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (answer, reset) = asked(&request, &[&request]);
        assert!(reset && answer.matches("HTTP/1.1 200").count() == 1, "{path}: {answer}");
    }
}

#[test]
fn an_exchange_tells_who_asks_and_what_was_answered() {
    let ends = "127.0.0.1:1 127.0.0.1:1";
    let (answer, _) = asked("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[]);
    assert!(answer.ends_with(&format!("\r\n\r\n1e\r\n{ends} Http11\r\n1\r\n!\r\n0\r\n\r\n")));
    let (answer, _) = asked("GET / HTTP/1.0\r\n\r\n", &[]);
    assert!(answer.ends_with(&format!("\r\n\r\n{ends} Http10!")), "{answer}");
    let (answer, _) = asked("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", &[]);
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.ends_with("\r\n\r\n"));
}
