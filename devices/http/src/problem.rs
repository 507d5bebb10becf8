//! Why a request is refused: a line of text, or JSON (RFC 9457).

use super::response::length;
use super::{Error, Exchange, Handler, Status};
use core::fmt::{self, Write as _};

/// Answers as another handler does, but says in JSON why requests are refused: as "problem
/// details" of RFC 9457, by the media type `application/problem+json`.
///
/// This is how [`Exchange::refuse`] responds then, and with it [`Router`](crate::Router),
/// [`json::read`](crate::json::read) and [`form::read`](crate::form::read). An
/// [`Error::Request`] that the handler returns before a response has begun is
/// answered in the same way, and the connection is kept where that can be. What the server refuses by itself, before a
/// handler is asked, is a line of text in any case.
///
/// ```
/// # use xenith_http::{Error, Exchange, ProblemDetails, Router, Status};
/// async fn item(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     // {"title":"Not Found","status":404,"detail":"there is no such item"}
///     exchange.refuse(Status::NOT_FOUND, format_args!("there is no such item")).await
/// }
/// # fn is_handler(_: impl xenith_http::Handler) {}
/// # is_handler(
/// ProblemDetails::new(Router::new().get("/items/{id}", item))
/// # );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ProblemDetails<H>(H);

impl<H: Handler> ProblemDetails<H> {
    /// Makes a handler that answers as `handler` does, with refusals in JSON.
    pub const fn new(handler: H) -> Self {
        Self(handler)
    }
}

impl<H: Handler> Handler for ProblemDetails<H> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        exchange.problems = true;
        match self.0.handle(exchange).await {
            Err(Error::Request(status)) if exchange.status().is_none() => {
                let later = [("Retry-After", "1")];
                let more = if status == Status::UNAVAILABLE { &later[..] } else { &[] };
                exchange.refuse_with(status, more, None).await
            }
            result => result,
        }
    }
}

impl Exchange<'_> {
    /// Responds with a sentence that says why the request is refused, as a line of text, or as
    /// JSON behind [`ProblemDetails`]. It is given without the full stop.
    ///
    /// # Errors
    /// As of [`respond`](Self::respond); [`Status::INTERNAL`] when formatting fails.
    pub async fn refuse(&mut self, status: Status, why: fmt::Arguments<'_>) -> Result<(), Error> {
        self.refuse_with(status, &[], Some(why)).await
    }

    /// As [`refuse`](Self::refuse), with one more field or none.
    pub(super) async fn refuse_with(
        &mut self,
        status: Status,
        more: &[(&str, &str)],
        why: Option<fmt::Arguments<'_>>,
    ) -> Result<(), Error> {
        let text = Refusal { status, why, json: self.problems };
        let kind = match text.json {
            true => ("Content-Type", "application/problem+json"),
            false => ("Content-Type", "text/plain; charset=utf-8"),
        };
        let both = [kind, more.first().copied().unwrap_or_default()];
        let fields = &both[..=more.len().min(1)];
        let mut sink = self.stream(status, fields, Some(length(&text))).await?;
        sink.print(format_args!("{text}")).await?;
        sink.finish().await
    }
}

/// The content of such a response.
struct Refusal<'a> {
    status: Status,
    why: Option<fmt::Arguments<'a>>,
    json: bool,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, why, json } = self;
        let title = status.phrase();
        match why {
            Some(why) if !json => return writeln!(f, "{why}."),
            None if !json => return writeln!(f, "{title}."),
            _ => {}
        }
        write!(f, "{{\"title\":\"{title}\",\"status\":{}", status.0)?;
        if let Some(why) = why {
            f.write_str(",\"detail\":\"")?;
            write!(Quoted(f), "{why}")?;
            f.write_str("\"")?;
        }
        f.write_str("}")
    }
}

/// Escapes what is written for a string of JSON (RFC 8259, section 7).
struct Quoted<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Quoted<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(|it: char| it.is_ascii_control() || "\"\\".contains(it)) {
            match part.as_bytes().split_last() {
                Some((&last, before)) if last < b' ' || last == 0x7F || b"\"\\".contains(&last) => {
                    self.0.write_str(part.get(..before.len()).unwrap_or_default())?;
                    write!(self.0, "\\u{last:04x}")?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}
