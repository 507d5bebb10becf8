//! A line of the log for each request.

use super::{Error, Exchange, Handler, Version, date};
use core::fmt;
use core::time::Duration;
use kernel::time::Instant;

/// Bytes of a target that are logged at most.
const TARGET: usize = 200;

/// Logs each request that a handler answers: in the common log format of web servers (client,
/// date, request line, status, bytes of content), followed by the microseconds for which the
/// handler ran. The status is 0 if the connection failed before the response began. A target
/// is cut after 200 bytes. Requests that the server refuses without the handler are not
/// logged.
///
/// The lines appear with `log=access=info`. No request waits for the console: lines for which
/// it has no room are dropped and counted.
///
/// ```
/// # use xenith_http::{AccessLog, Exchange, Server, Status};
/// let hello = async |exchange: &mut Exchange<'_>| {
///     exchange.respond(Status::OK, &[], b"hello").await
/// };
/// let server = Server::new(AccessLog::new(hello));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AccessLog<H>(H);

impl<H: Handler> AccessLog<H> {
    /// Makes a handler that answers as `handler` does.
    pub const fn new(handler: H) -> Self {
        Self(handler)
    }
}

impl<H: Handler> Handler for AccessLog<H> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let begun = Instant::now();
        let result = self.0.handle(exchange).await;
        let status = match (exchange.status(), &result) {
            (Some(status), _) => status.0,
            (None, Err(Error::Request(status))) => status.0,
            // The connection failed before there was a response.
            _ => 0,
        };
        let (date, took) = (kernel::time::wall_clock().as_secs(), begun.elapsed());
        log::info!(target: "access", "{}", Entry { exchange, status, date, took });
        result
    }
}

/// What is logged of a request.
pub(super) struct Entry<'e, 'a> {
    pub(super) exchange: &'e Exchange<'a>,
    pub(super) status: u16,
    /// Seconds since 1970.
    pub(super) date: u64,
    pub(super) took: Duration,
}

impl fmt::Display for Entry<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exchange, status, date, took } = self;
        let date = date::format(*date);
        let part = |from, to| {
            let part = date.get(from..to).and_then(|it| core::str::from_utf8(it).ok());
            part.unwrap_or_default()
        };
        let (day, month, year, time) = (part(5, 7), part(8, 11), part(12, 16), part(17, 25));
        // Of printable ASCII without quotation marks, as the parser lets no other through.
        let request = exchange.request();
        let target = request.target_text();
        let target = target.get(..TARGET).unwrap_or(target);
        write!(
            f,
            "{} - - [{day}/{month}/{year}:{time} +0000] \"{} {target} HTTP/{}\" {status} {} {}",
            exchange.peer_addr().ip(),
            request.method().name(),
            match request.version() {
                Version::Http10 => "1.0",
                Version::Http11 => "1.1",
                Version::Http2 => "2",
            },
            exchange.sent(),
            took.as_micros(),
        )
    }
}
