//! A web server with a page about itself.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
#[path = "../../../tests/http/pages.rs"]
mod pages;
#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use serde::{Deserialize, Serialize};
use xenith::http::{self, Exchange, Method, Server, Stats, Status};
use xenith::ip::{self, Tcp};
use xenith::metrics::{Machine, Source};
use xenith::net::Shared;
use xenith::time::Instant;
use xenith::update;

/// What goes on when a new image takes over: the numbers that the page shows.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    connections: u64,
    requests: u64,
}

impl update::State for Kept {
    const VERSION: u32 = 1;
}

/// What answers, and what it tells of.
struct Site<T> {
    ip: Rc<T>,
    stats: Rc<Cell<Stats>>,
    /// What `/bytes/COUNT` is made of.
    filling: Shared,
}

/// Bytes of the filling.
const FILLING: usize = 16 << 10;

/// What the page at `/` begins with.
const STYLE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n\
    <link rel=\"icon\" href=\"data:,\">\n<title>Xenith</title>\n\
    <style>body{font:1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:4rem auto;\
    padding:0 1rem}td{padding-right:2rem}</style>\n\
    <h1>Hello from a unikernel</h1>\n\
    <p>This page comes from <b>Xenith</b>: one app, its drivers and nothing else, booted \
    as a Xen domain.</p>\n";

impl<T> Site<T> {
    /// Answers with the page at `/`.
    async fn page(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        let memory = Row(xenith::memory::stats());
        let Stats { open, connections, requests, .. } = self.stats.get();
        let up = Instant::now().as_nanos() / 1_000_000_000;
        let mut sink = exchange.stream(Status::OK, &HTML, None).await?;
        let text = format_args!(
            "{STYLE}<table>\n<tr><td>up for<td>{up} s\n{memory}\
             <tr><td>connections<td>{open} open, {connections} so far\n\
             <tr><td>requests<td>{requests}\n</table>\n\
             <p><a href=\"/metrics\">metrics</a> <a href=\"/health\">health</a></p>\n</html>\n",
        );
        sink.print(text).await?;
        sink.finish().await
    }
}

/// What the page tells of memory, where that is known.
struct Row(xenith::memory::Stats);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(memory) = self;
        let used = (memory.total.saturating_sub(memory.heap) + memory.allocated) / 1024;
        match memory.total / 1024 {
            0 => Ok(()),
            total => writeln!(f, "<tr><td>memory<td>{used} of {total} KiB"),
        }
    }
}

const HTML: [(&str, &str); 1] = [("Content-Type", "text/html; charset=utf-8")];
const PLAIN: [(&str, &str); 1] = [("Content-Type", "text/plain; charset=utf-8")];
const TO_BOTH: [(&str, &str); 2] = [PLAIN[0], ("Allow", "GET, HEAD, POST, OPTIONS")];
const TO_POST: [(&str, &str); 2] = [PLAIN[0], ("Allow", "POST, OPTIONS")];
const TO_READ: [(&str, &str); 2] = [PLAIN[0], ("Allow", "GET, HEAD, OPTIONS")];
const BYTES: [(&str, &str); 1] = [("Content-Type", "application/octet-stream")];

impl<T: Source> http::Handler for Site<T> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        let request = exchange.request();
        let reads = matches!(request.method(), Method::Get | Method::Head);
        let (status, fields, content): (_, &[_], &[u8]) = match request.path() {
            "/" | "/echo" if request.method() == Method::Post => return echo(exchange).await,
            path if request.method() == Method::Options => {
                (Status::NO_CONTENT, &allowed(path)[1..], b"")
            }
            path if !reads || path == "/echo" => {
                (Status::METHOD_NOT_ALLOWED, allowed(path), b"The method is not allowed here.\n")
            }
            "/" => return self.page(exchange).await,
            path if let Some(count) = path.strip_prefix("/bytes/").and_then(number) => {
                match usize::try_from(count)
                    .ok()
                    .and_then(|count| self.filling.bytes().get(..count))
                {
                    Some(all) => (Status::OK, &BYTES, all),
                    None => return bytes(count, &self.filling, exchange).await,
                }
            }
            "/health" => (Status::OK, &PLAIN, b"ok\n"),
            "/metrics" => {
                let sources: [&dyn Source; 3] = [&Machine, &*self.ip, &self.stats.get()];
                return metrics::answer(&sources, exchange).await;
            }
            // Browsers ask for it beside every page.
            "/favicon.ico" => (Status::NO_CONTENT, &[], b""),
            _ => (Status::NOT_FOUND, &PLAIN, b"There is no such page.\n"),
        };
        exchange.respond(status, fields, content).await
    }
}

/// What can be done with a path, beside a type.
fn allowed(path: &str) -> &'static [(&'static str, &'static str); 2] {
    match path {
        "/" => &TO_BOTH,
        "/echo" => &TO_POST,
        _ => &TO_READ,
    }
}

/// Decimal digits alone, as a number.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Sends `count` bytes, which are more than the filling has.
async fn bytes(
    count: u64,
    filling: &Shared,
    exchange: &mut Exchange<'_>,
) -> Result<(), http::Error> {
    let mut sink = exchange.stream(Status::OK, &BYTES, Some(count)).await?;
    let mut left = count;
    while left > 0 {
        let piece = left.min(FILLING as u64);
        sink.share(filling, 0..piece as usize).await?;
        left -= piece;
    }
    sink.finish().await
}

/// Sends back what comes, as it comes.
async fn echo(exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
    // On the heap, as what it would be part of is held for each connection, whatever it asks for.
    let none = http::Error::Request(Status::UNAVAILABLE);
    let mut piece = xenith::memory::zeroed(1024).ok_or(none)?;
    let mut count = 0;
    // Before the answer begins, so that a bad body can still be told of.
    while count < piece.len() {
        match exchange.body().read(&mut piece[count..]).await? {
            0 => break,
            more => count += more,
        }
    }
    let mut sink = exchange.stream(Status::OK, &BYTES, None).await?;
    while count > 0 {
        sink.write_all(&piece[..count]).await?;
        count = sink.body().read(&mut piece).await?;
    }
    sink.finish().await
}

/// Serves on `port` until the network is down, or the toolstack asks for the end: as many as
/// `connections` at a time, which may be idle for `idle` seconds, and whose requests have
/// heads of up to `head` bytes with targets of up to `target` bytes and up to `fields`
/// fields. At the end, what is under way has `grace` seconds.
///
/// # Errors
/// Those of [`Tcp::bind`].
#[allow(clippy::too_many_arguments, reason = "the arguments of the app")]
pub async fn start<T: Tcp + Source + 'static>(
    ip: T,
    port: u16,
    connections: u32,
    idle: u32,
    grace: u32,
    head: u32,
    target: u32,
    fields: u32,
) -> Result<(), ip::Error> {
    let limits = http::Limits {
        connections: connections as usize,
        idle: Duration::from_secs(idle.into()),
        head: head as usize,
        target: target as usize,
        fields: fields as usize,
        ..http::Limits::default()
    };
    xenith::shutdown::set_grace(Duration::from_secs(grace.into()));
    let ip = Rc::new(ip);
    let stats = Rc::new(Cell::new(Stats::default()));
    if let Some(Kept { connections, requests }) = update::inherited() {
        let mut before = Stats::default();
        (before.connections, before.requests) = (connections, requests);
        stats.set(before);
    }
    let kept = Rc::clone(&stats);
    update::keep(move || {
        let Stats { connections, requests, .. } = kept.get();
        Kept { connections, requests }
    });
    let filling = Shared::copy(&[b'x'; FILLING]).ok_or(ip::Error::Exhausted)?;
    let site = Site { ip: ip.clone(), stats: stats.clone(), filling };
    let server = Server::new(site).limits(limits).stats(stats).bind(&*ip, ip::any(port)).await?;
    xenith::println!("httpd: listening on port {}", server.local_addr().port());
    server.serve().await
}
