//! Server-sent events: `text/event-stream`, which a page reads by `EventSource` (WHATWG HTML,
//! section 9.2).
//!
//! ```
//! use core::time::Duration;
//! use xenith_http::events::{Event, Events};
//! use xenith_http::{Error, Exchange};
//!
//! /// Says once a second how often it did.
//! async fn count(exchange: &mut Exchange<'_>) -> Result<(), Error> {
//!     let mut events = Events::begin(exchange).await?;
//!     for number in 0_u64.. {
//!         events.send(&Event::new(&number.to_string())).await?;
//!         let second = kernel::time::sleep(Duration::from_secs(1));
//!         if events.wait(second).await?.is_none() {
//!             break;
//!         }
//!     }
//!     events.finish().await
//! }
//! # fn is_handler(_: impl xenith_http::Handler) {}
//! # is_handler(count);
//! ```

use super::sink::Sink;
use super::{Error, Exchange, Method, Request, Status};
use core::fmt;
use core::pin::pin;
use core::time::Duration;
use embedded_io_async::Write as _;

/// How often a stream on which nothing else is sent has a comment, so that who is between
/// takes it for alive, and a client that is gone is found out.
const ALIVE: Duration = Duration::from_secs(15);

/// Describes an event, or another entry of a stream of events.
///
/// Its data are sent line by line, whichever way the lines end, so that no text becomes a
/// field of its own; a name or an id that holds a line's end is an error when it is sent.
///
/// ```
/// use core::time::Duration;
/// use xenith_http::events::Event;
///
/// let event = Event::new("21 \u{b0}C\nrising").name("weather").id("7");
/// let text = "event: weather\nid: 7\ndata: 21 \u{b0}C\ndata: rising\n\n";
/// assert_eq!(event.to_string(), text);
///
/// let first = Event::retry(Duration::from_secs(3));
/// assert_eq!(first.to_string(), "retry: 3000\n\n");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it is to be sent"]
pub struct Event<'a> {
    data: Option<&'a str>,
    name: Option<&'a str>,
    id: Option<&'a str>,
    retry: Option<Duration>,
}

impl<'a> Event<'a> {
    /// Makes an event with these data, of the type `message` unless it is [named](Self::name).
    pub const fn new(data: &'a str) -> Self {
        Self { data: Some(data), name: None, id: None, retry: None }
    }

    /// Makes an entry that tells the page how long to wait before it reconnects when the stream
    /// has ended, in whole milliseconds. It is no event for the page.
    pub const fn retry(after: Duration) -> Self {
        Self { data: None, name: None, id: None, retry: Some(after) }
    }

    /// Sets the type of the event, for `addEventListener`.
    pub const fn name(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// Sets the id of the event. A page that reconnects says the last id that it has received,
    /// which [`last_id`] returns.
    pub const fn id(self, id: &'a str) -> Self {
        Self { id: Some(id), ..self }
    }
}

/// Formats it as it is sent.
///
/// Fails for a name that holds a line's end, and for an id that holds one or a NUL, with
/// which a browser ignores it.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |text: &str| text.contains(['\r', '\n', '\0']);
        if [self.name, self.id].into_iter().flatten().any(ends) {
            return Err(fmt::Error);
        }
        for (field, value) in [("event", self.name), ("id", self.id)] {
            if let Some(value) = value {
                writeln!(f, "{field}: {value}")?;
            }
        }
        if let Some(retry) = self.retry {
            writeln!(f, "retry: {}", retry.as_millis())?;
        }
        let mut rest = self.data;
        while let Some(data) = rest {
            let end = data.find(['\r', '\n']);
            let (line, after) = data.split_at(end.unwrap_or(data.len()));
            writeln!(f, "data: {line}")?;
            let after = after.strip_prefix("\r\n").or(after.get(1..));
            rest = end.and(after);
        }
        f.write_str("\n")
    }
}

/// Sends events to a page.
#[derive(Debug)]
pub struct Events<'e, 'a> {
    sink: Sink<'e, 'a>,
    /// Nobody reads it: the request is HEAD.
    silent: bool,
}

impl<'e, 'a> Events<'e, 'a> {
    /// Begins a response that is a stream of events.
    ///
    /// # Errors
    /// As of [`Exchange::stream`].
    pub async fn begin(exchange: &'e mut Exchange<'a>) -> Result<Self, Error> {
        let silent = exchange.request().method() == Method::Head;
        let fields = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")];
        Ok(Self { sink: exchange.stream(Status::OK, &fields, None).await?, silent })
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Those of the connection, as when the page was left; [`Status::INTERNAL`] for a name or
    /// id with which it would be another.
    pub async fn send(&mut self, event: &Event<'_>) -> Result<(), Error> {
        self.sink.print(format_args!("{event}")).await?;
        self.sink.flush().await
    }

    /// Waits for `next` and returns its output. A comment is sent every 15 s meanwhile, by which
    /// proxies see that the connection is alive, and a client that is gone is found out. Returns
    /// `None` when the server ends, and for HEAD: then the handler should return.
    ///
    /// # Errors
    /// Those of the connection, as when the page was left.
    pub async fn wait<F: Future>(&mut self, next: F) -> Result<Option<F::Output>, Error> {
        let mut next = pin!(next);
        let (slot, stream) = (self.sink.exchange().slot, self.sink.exchange().stream);
        while !self.silent {
            match slot.wait_late(stream, ALIVE, next.as_mut()).await {
                Some(next) => return Ok(Some(next)),
                None if slot.leaves() || slot.pool.is_moving() => break,
                None => {
                    self.sink.print(format_args!(":\n\n")).await?;
                    self.sink.flush().await?;
                }
            }
        }
        Ok(None)
    }

    /// Ends the stream. The page reconnects, unless its script closes the `EventSource`.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn finish(self) -> Result<(), Error> {
        self.sink.finish().await
    }
}

/// Returns the [id](Event::id) of the last event that a page has received, which it sends when
/// it reconnects; `None` if there is none or it is not UTF-8.
#[must_use]
pub fn last_id<'a>(request: &Request<'a>) -> Option<&'a str> {
    core::str::from_utf8(request.field("Last-Event-ID")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// Reads a stream as a browser does (WHATWG HTML, section 9.2.6): type, data and id of
    /// each event.
    fn read(stream: &str) -> Vec<(String, String, String)> {
        let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
        let (mut all, mut id) = (Vec::new(), String::new());
        let (mut name, mut data) = (String::new(), String::new());
        for line in stream.split('\n') {
            if line.is_empty() {
                if !data.is_empty() {
                    data.pop();
                    all.push((core::mem::take(&mut name), core::mem::take(&mut data), id.clone()));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.into(),
                "data" => data += &format!("{value}\n"),
                "id" => id = value.into(),
                _ => {}
            }
        }
        all
    }

    #[test]
    fn data_come_back_line_by_line_and_become_no_field() {
        for (data, back) in [
            ("hello", "hello"),
            ("", ""),
            (" blanks ", " blanks "),
            ("a\nb", "a\nb"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("a\n\nb\n", "a\n\nb\n"),
            ("\r", "\n"),
            ("x\n\nevent: evil\ndata: y", "x\n\nevent: evil\ndata: y"),
            ("x\rid: 9\r\rdata: y", "x\nid: 9\n\ndata: y"),
            (": no comment", ": no comment"),
            ("\u{2028}\u{85}", "\u{2028}\u{85}"),
        ] {
            let text = Event::new(data).name("n").id("1").to_string();
            let expected = [("n".to_string(), back.to_string(), "1".to_string())];
            assert_eq!(read(&text), expected, "{data:?}: {text:?}");
        }
    }

    #[test]
    fn a_name_or_id_of_several_lines_is_refused_before_anything_is_sent() {
        use core::fmt::Write as _;
        for bad in ["a\nb", "a\rb", "\n", "a\r\ndata: x", "a\0b"] {
            for event in [Event::new("x").name(bad), Event::new("x").id(bad)] {
                let mut text = String::new();
                assert!(write!(text, "{event}").is_err() && text.is_empty(), "{bad:?}: {text}");
            }
        }
    }

    #[test]
    fn the_time_to_come_again_is_in_milliseconds() {
        assert_eq!(Event::retry(Duration::from_millis(1500)).to_string(), "retry: 1500\n\n");
        assert_eq!(read("retry: 1500\n\n"), []);
    }
}
