//! Answers that are printed piece by piece.

use super::*;
use std::string::ToString;

/// What `/text` is answered with.
fn text() -> String {
    (0..2000).map(|line| format!("{line}\n")).collect()
}

/// A text that cannot be formatted.
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

/// Answers each path with a text that is printed in another way.
async fn printer(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let request = exchange.request();
    let (all, long) = (text(), "v".repeat(5000));
    let (fields, length): (&[_], _) = match request.path() {
        "/long-field" => (&[("X-Long", &*long)], Some(0)),
        "/counted" => (&[], Some(all.len() as u64)),
        "/less" => (&[], Some(all.len() as u64 + 1)),
        "/more" => (&[], Some(all.len() as u64 - 1)),
        _ => (&[], None),
    };
    let mut sink = exchange.stream(Status::OK, fields, length).await?;
    match request.path() {
        "/lines" => {
            for line in 0..2000 {
                sink.print(format_args!("{line}\n")).await?;
            }
        }
        "/mixed" => {
            sink.print(format_args!("a{}", "b")).await?;
            sink.print(format_args!("")).await?;
            sink.write_all(b"cd").await?;
            sink.print(format_args!("e")).await?;
            sink.flush().await?;
            sink.flush().await?;
            sink.print(format_args!("f")).await?;
        }
        "/broken" => sink.print(format_args!("{Broken}")).await?,
        "/empty" | "/long-field" => {}
        _ => sink.print(format_args!("{all}")).await?,
    }
    sink.finish().await
}

/// What a GET of `path` is answered, and whether the connection was reset.
fn got(path: &str) -> (String, bool) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let (answer, reset, _) = served_by(&printer, 0, &[sends(&request)]);
    (answer, reset)
}

/// The content of an answer in chunks, and the sizes of these.
fn chunks(answer: &str) -> (String, Vec<usize>) {
    let (_, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let (mut all, mut sizes) = (String::new(), Vec::new());
    loop {
        let (size, behind) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(size, 16).unwrap();
        assert_eq!(size, format!("{length:x}"));
        sizes.push(length);
        let (chunk, behind) = behind.split_at(length);
        all.push_str(chunk);
        rest = behind.strip_prefix("\r\n").unwrap();
        if length == 0 {
            assert!(rest.is_empty(), "{rest}");
            return (all, sizes);
        }
    }
}

#[test]
fn a_text_of_any_length_is_printed_a_kilobyte_at_a_time() {
    for path in ["/text", "/lines"] {
        let (answer, reset) = got(path);
        let (all, sizes) = chunks(&answer);
        assert!(all == text() && !reset, "{path}");
        // Full ones, the rest, and the end.
        let (last, full) = sizes.split_last_chunk::<2>().map(|(a, b)| (b, a)).unwrap();
        assert!(full.iter().all(|&size| size > 1000 && size < 1024), "{path}: {sizes:?}");
        assert!(last[0] <= 1024 && last[1] == 0, "{path}: {sizes:?}");
    }
    assert_eq!(chunks(&got("/empty").0), (String::new(), std::vec![0]));
}

#[test]
fn what_is_printed_and_written_stays_in_order() {
    assert_eq!(chunks(&got("/mixed").0), ("abcdef".to_string(), std::vec![2, 2, 1, 1, 0]));
}

#[test]
fn printed_bytes_are_counted() {
    let (answer, reset) = got("/counted");
    assert!(answer.ends_with(&format!("\r\n\r\n{}", text())) && !reset);
    for path in ["/less", "/more", "/broken"] {
        let (_, reset) = got(path);
        assert!(reset, "{path}: an answer that is not whole does not look as if it were");
    }
}

#[test]
fn head_asks_for_no_printed_content() {
    let request = "HEAD /broken HTTP/1.1\r\nHost: x\r\n\r\n";
    let (answer, reset, _) = served_by(&printer, 0, &[sends(request)]);
    assert!(answer.ends_with("Transfer-Encoding: chunked\r\n\r\n") && !reset, "{answer}");
}

#[test]
fn a_head_may_be_longer_than_the_memory_that_it_is_made_in() {
    let (answer, reset) = got("/long-field");
    assert!(answer.contains(&format!("\r\nX-Long: {}\r\n", "v".repeat(5000))) && !reset);
    assert!(answer.ends_with("\r\nContent-Length: 0\r\n\r\n"));
}
