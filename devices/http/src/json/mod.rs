//! JSON (RFC 8259) by serde.
//!
//! It is read and written by `serde_json`, with the heap and without the standard library:
//! `serde-json-core`, which needs no heap, reads no text that has escapes in it, says of an
//! error not where it is, and ends the machine by a panic for types that it does not know.

mod counted;

use crate::{Error, Exchange, Status};
use alloc::string::String;
use core::fmt;
use counted::{Allowance, Counted};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How deep arrays and objects may be nested. A type that holds itself is read by recursion, and
/// the stack is bounded.
pub const DEPTH: usize = 32;

/// Bytes that a value may take at most on Linux, where it is not known how much is free.
const ON_LINUX: usize = 64 << 20;

/// Says why a text is not JSON, or not of the type that was to be read.
#[derive(Debug)]
pub struct ParseError(What);

#[derive(Debug)]
enum What {
    Deep(usize, usize),
    Large(serde_json::Error),
    Serde(serde_json::Error),
}

impl ParseError {
    /// Returns the line in which the error was found, from 1 on, and how many bytes of that line
    /// were read.
    #[must_use]
    pub fn at(&self) -> (usize, usize) {
        match &self.0 {
            What::Deep(line, column) => (*line, *column),
            What::Large(error) | What::Serde(error) => (error.line(), error.column()),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            What::Deep(line, column) => write!(
                f,
                "arrays and objects are nested more than {DEPTH} deep \
                 at line {line} column {column}"
            ),
            What::Large(error) | What::Serde(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ParseError {}

/// The media type of JSON.
pub const TYPE: &str = "application/json";

/// The field of a response in JSON, for [`Exchange::respond`].
pub const FIELD: (&str, &str) = ("Content-Type", TYPE);

/// Reads the body of a request as a `T`, of at most `limit` bytes.
///
/// Returns `None` if the request was refused instead: with 415 for another type than
/// `application/json` or one that ends in `+json`, with 413 for a longer body, and with 400 for
/// what [`parse`] refuses, saying what is wrong and where.
///
/// ```
/// # use xenith_http::{Error, Exchange, Status, json};
/// async fn sum(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     let Some(numbers) = json::read::<Vec<u32>>(exchange, 4096).await? else { return Ok(()) };
///     let sum: u64 = numbers.iter().map(|&number| u64::from(number)).sum();
///     json::respond(exchange, Status::OK, &sum).await
/// }
/// ```
///
/// What the `T` takes of the heap is counted against [`Limits::memory`](super::Limits::memory)
/// as it is made, and until the request is answered: for the worst, which is up to four times
/// what a list needs. So `limit` need not consider that a few bytes of text may be a large
/// value. A `T` that is kept for longer is the app's affair.
///
/// # Errors
/// Those of the connection, and [`Status::UNAVAILABLE`] where there is no memory for the text or
/// for the `T`.
pub async fn read<T: DeserializeOwned>(
    exchange: &mut Exchange<'_>,
    limit: usize,
) -> Result<Option<T>, Error> {
    let Some(text) = exchange.collect_as(TYPE, limit).await? else { return Ok(None) };
    let most = exchange.body.budget().left().min(free());
    match parse_within(&text, most) {
        Ok((value, taken)) => {
            exchange.charge.add(taken)?;
            Ok(Some(value))
        }
        Err(ParseError(What::Large(_))) => Err(Error::Request(Status::UNAVAILABLE)),
        Err(wrong) => {
            drop(text);
            exchange
                .refuse(Status::BAD_REQUEST, format_args!("the JSON is wrong: {wrong}"))
                .await?;
            Ok(None)
        }
    }
}

/// Writes a value as JSON.
///
/// ```
/// assert_eq!(xenith_http::json::text(&["a\"b", "c"])?, r#"["a\"b","c"]"#);
/// # Ok::<(), xenith_http::Error>(())
/// ```
///
/// # Errors
/// [`Status::UNAVAILABLE`] while memory is low; [`Status::INTERNAL`] for a value that JSON cannot
/// represent, such as a map whose keys are not strings.
pub fn text<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    if kernel::memory::is_low() {
        return Err(Error::Request(Status::UNAVAILABLE));
    }
    serde_json::to_string(value).map_err(|_| Error::Request(Status::INTERNAL))
}

/// Responds with `value` as JSON.
///
/// It is made in memory as a whole: [stream](Exchange::stream) what may be long.
///
/// # Errors
/// Those of the connection, and of [`text`].
pub async fn respond<T: Serialize + ?Sized>(
    exchange: &mut Exchange<'_>,
    status: Status,
    value: &T,
) -> Result<(), Error> {
    let text = text(value)?;
    exchange.respond(status, &[FIELD], text.as_bytes()).await
}

/// Parses a text as a `T`.
///
/// ```
/// use xenith_http::json;
///
/// let sizes: Vec<u32> = json::parse(b"[1, 2, 3]")?;
/// assert_eq!(sizes, [1, 2, 3]);
///
/// let wrong = json::parse::<Vec<u32>>(b"[1,\n -2]").unwrap_err();
/// assert_eq!(wrong.at(), (2, 3));
/// assert_eq!(
///     wrong.to_string(),
///     "invalid value: integer `-2`, expected u32 at line 2 column 3"
/// );
/// # Ok::<(), json::ParseError>(())
/// ```
///
/// # Errors
/// [`ParseError`] for what is not JSON, is not a `T`, is nested more than [`DEPTH`] deep, or might
/// take more than half of the memory that is free.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, ParseError> {
    parse_within(text, free()).map(|(value, _)| value)
}

/// Bytes that a value may take.
fn free() -> usize {
    let stats = kernel::memory::stats();
    match stats.total {
        0 => ON_LINUX,
        total => {
            (total.saturating_sub(stats.mapped) + stats.heap.saturating_sub(stats.allocated)) / 2
        }
    }
}

/// Reads a text as a `T` that takes no more than `most` bytes, and returns how many these are.
fn parse_within<T: DeserializeOwned>(text: &[u8], most: usize) -> Result<(T, usize), ParseError> {
    if let Some((line, column)) = too_deep(text) {
        return Err(ParseError(What::Deep(line, column)));
    }
    let allowance = Allowance::new(most);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = T::deserialize(Counted::new(&mut reader, &allowance));
    match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok((value, most - allowance.left())),
        Err(error) if allowance.is_exceeded() => Err(ParseError(What::Large(error))),
        Err(error) => Err(ParseError(What::Serde(error))),
    }
}

/// Where arrays and objects lie too deep in each other: the line, and how many of its bytes.
fn too_deep(text: &[u8]) -> Option<(usize, usize)> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > DEPTH {
                    let before = &text[..at];
                    let lines = before.iter().filter(|&&byte| byte == b'\n').count();
                    let line = before.rsplit(|&byte| byte == b'\n').next()?;
                    return Some((lines + 1, line.len() + 1));
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::format;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn a_value_takes_no_more_memory_than_there_is_for_it() {
        /// A large one of a few bytes.
        #[derive(Debug)]
        struct Large([u64; 100]);
        impl<'de> serde::Deserialize<'de> for Large {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                u64::deserialize(from).map(|it| Self([it; 100]))
            }
        }
        let refused =
            |wrong: Result<(), ParseError>| matches!(wrong, Err(ParseError(What::Large(_))));
        let text = format!("[{}1]", "1,".repeat(999));
        let within = |most| parse_within::<Vec<Large>>(text.as_bytes(), most);
        assert!(refused(within(999 * 800).map(|_| ())), "less than it takes");
        let (large, taken) = within(1 << 24).unwrap();
        assert!(large.len() == 1000 && large[999].0[99] == 1);
        // What a vector has while it grows: its elements, and room for twice as many.
        assert!((3 * 512 * 800..1 << 22).contains(&taken), "{taken}");

        // Nor are texts, maps, and lists of lists.
        for (text, least, most) in [
            (format!("\"{}\"", "x".repeat(1000)), 1000, 1200),
            (format!("[{}[]]", "[],".repeat(999)), 24 * 1000, 24 * 8000),
            (format!("[{}{{}}]", "{},".repeat(999)), 24 * 1000, 24 * 8000),
            (format!("[{}\"\"]", "\"\",".repeat(999)), 24 * 1000, 24 * 8000),
        ] {
            let within = |most| match text.as_bytes() {
                [b'"', ..] => parse_within::<String>(text.as_bytes(), most).map(|it| it.1),
                [b'[', b'{', ..] => {
                    parse_within::<Vec<BTreeMap<String, Large>>>(text.as_bytes(), most)
                        .map(|it| it.1)
                }
                [b'[', b'"', ..] => {
                    parse_within::<Vec<String>>(text.as_bytes(), most).map(|it| it.1)
                }
                _ => parse_within::<Vec<Vec<u8>>>(text.as_bytes(), most).map(|it| it.1),
            };
            let taken = within(usize::MAX).unwrap();
            assert!((least..most).contains(&taken), "{taken} for {}", &text[..9]);
            assert!(within(taken).is_ok() && refused(within(taken - 1).map(|_| ())));
        }
        // A node of a map has room for eleven entries.
        let one = |most| parse_within::<BTreeMap<String, Large>>(b"{\"a\":1}", most);
        assert!(refused(one(11 * 800).map(|_| ())) && one(16 * 800).is_ok());
    }

    #[test]
    fn values_of_each_sort_are_read_as_without_counting() {
        let text = br#"{"a":[1,-2,3.5,true,null,"x\ny",{"b":[]}],"c":"d"}"#;
        let value: serde_json::Value = parse(text).unwrap();
        assert_eq!(value, serde_json::from_slice::<serde_json::Value>(text).unwrap());
        assert_eq!(parse::<Option<u8>>(b"null").unwrap(), None);
        assert_eq!(parse::<Option<u8>>(b"7").unwrap(), Some(7));
        assert_eq!(parse::<(u8, String)>(b"[7,\"x\"]").unwrap(), (7, "x".into()));
        let bound = core::ops::Bound::Included(7);
        assert_eq!(parse::<core::ops::Bound<u8>>(b"{\"Included\":7}").unwrap(), bound);
        assert!(parse::<u8>(b"7 8").is_err());
    }

    #[test]
    fn an_error_says_where_it_is() {
        for (text, line, column) in [
            ("", 1, 0),
            ("{", 1, 1),
            ("{\"a\": 1", 1, 7),
            ("{\n  \"a\": x}", 2, 8),
            ("{\"a\": 1}\n}", 2, 1),
            ("{\"a\": \"b\"}", 1, 9),
            ("{\"a\": 1e999}", 1, 11),
            ("{\"a\": \"\u{1}\"}", 1, 8),
        ] {
            let wrong = parse::<BTreeMap<String, i32>>(text.as_bytes()).unwrap_err();
            assert_eq!(wrong.at(), (line, column), "{text}: {wrong}");
            let place = format!("at line {line} column {column}");
            assert!(wrong.to_string().ends_with(&place), "{wrong}");
        }
        assert!(parse::<String>(b"\"\xFF\"").is_err(), "no UTF-8");
        assert!(parse::<String>(b"\"\\ud800\"").is_err(), "half a character");
        assert_eq!(parse::<String>(b"\"\\ud83d\\ude00\\n\"").unwrap(), "\u{1f600}\n");
    }

    #[test]
    fn what_lies_too_deep_is_refused_before_it_is_read() {
        let nested = |open: &str, close: &str, depth| {
            format!("{}{}", open.repeat(depth), close.repeat(depth))
        };
        assert_eq!(too_deep(nested("[", "]", DEPTH).as_bytes()), None);
        assert_eq!(too_deep(nested("[", "]", DEPTH + 1).as_bytes()), Some((1, DEPTH + 1)));
        let lines = nested("{\"a\":\n[", "]}", DEPTH);
        assert_eq!(too_deep(lines.as_bytes()), Some((DEPTH / 2 + 1, 2)));
        // Side by side is not in each other, and what is quoted is text.
        assert_eq!(too_deep("[],".repeat(DEPTH * 4).as_bytes()), None);
        assert_eq!(too_deep(format!("\"{}\"", "[".repeat(99)).as_bytes()), None);
        assert_eq!(too_deep(format!("\"\\\"{}\"", "[".repeat(99)).as_bytes()), None);
        assert_eq!(too_deep(format!("\"\\\\\"{}", "[".repeat(99)).as_bytes()), Some((1, 37)));
        let wrong = parse::<Vec<u8>>("[".repeat(1 << 16).as_bytes()).unwrap_err();
        let text = "arrays and objects are nested more than 32 deep at line 1 column 33";
        assert_eq!(wrong.to_string(), text);
    }
}
