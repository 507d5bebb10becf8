//! Numbers about the machine in the text format that Prometheus reads.
//!
//! An app mounts [`answer`] where it likes; [`start`] serves it on a port.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
#[path = "../../../tests/http/pages.rs"]
mod pages;

use alloc::rc::Rc;
use core::fmt;
use xenith::http::{Error, Exchange, Method, Server, Sink, Status};
use xenith::ip::{self, Tcp};
use xenith::metrics::{Kind, Machine, Metric, Source};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// A number as text.
struct Line<'a>(&'a Metric);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Metric { name, help, value, .. } = self.0;
        let kind = match self.0.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            _ => "untyped",
        };
        write!(
            f,
            "# HELP xenith_{name} {help}\n# TYPE xenith_{name} {kind}\nxenith_{name} {value}\n"
        )
    }
}

/// Numbers that are held at a time.
type Some = heapless::Vec<Metric, 8>;

/// The numbers of `sources` from the one of this index on.
fn some(sources: &[&dyn Source], from: usize) -> Some {
    let (mut some, mut at) = (Some::new(), 0);
    for source in sources {
        source.metrics(&mut |metric| {
            if at >= from {
                // What does not fit comes next time.
                let _ = some.push(metric);
            }
            at += 1;
        });
    }
    some
}

/// Prints everything that `sources` count, a few numbers at a time, without memory of its
/// own. They are asked several times, and have to name their numbers in the same order.
///
/// # Errors
/// Those of [`Sink::print`].
pub async fn print(sources: &[&dyn Source], sink: &mut Sink<'_, '_>) -> Result<(), Error> {
    let mut done = 0;
    loop {
        let some = some(sources, done);
        if some.is_empty() {
            return Ok(());
        }
        for metric in &some {
            sink.print(format_args!("{}", Line(metric))).await?;
        }
        done += some.len();
    }
}

/// Responds with everything that `sources` count.
///
/// # Errors
/// Those of the connection.
pub async fn answer(sources: &[&dyn Source], exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let mut sink = exchange.stream(Status::OK, &FIELDS, None).await?;
    print(sources, &mut sink).await?;
    sink.finish().await
}

const FIELDS: [(&str, &str); 1] = [("Content-Type", CONTENT_TYPE)];

/// Answers `GET /metrics`.
async fn serve(sources: &[&dyn Source], exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let request = exchange.request();
    match (request.method(), request.path()) {
        (Method::Get | Method::Head, "/metrics") => answer(sources, exchange).await,
        // Browsers ask for it beside the numbers.
        (Method::Get | Method::Head, "/favicon.ico") => {
            exchange.respond(Status::NO_CONTENT, &[], b"").await
        }
        (Method::Get | Method::Head, _) => {
            exchange.respond(Status::NOT_FOUND, &FIELDS, b"See /metrics.\n").await
        }
        _ => {
            let fields = [FIELDS[0], ("Allow", "GET, HEAD")];
            exchange.respond(Status::METHOD_NOT_ALLOWED, &fields, b"").await
        }
    }
}

/// Serves the numbers on `port` until the network is down.
///
/// # Errors
/// Those of [`Tcp::bind`].
pub async fn start<T: Tcp + Source + 'static>(ip: T, port: u16) -> Result<(), ip::Error> {
    let ip = Rc::new(ip);
    let source = ip.clone();
    let server = Server::new(async move |exchange: &mut Exchange<'_>| {
        serve(&[&Machine, &*source], exchange).await
    });
    let server = server.bind(&*ip, ip::any(port)).await?;
    xenith::println!("metrics: listening on port {}", server.local_addr().port());
    server.serve().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::page;
    use std::string::{String, ToString};

    struct Two;

    impl Source for Two {
        fn metrics(&self, each: &mut dyn FnMut(Metric)) {
            each(Metric::counter("a", "First.", 1));
            each(Metric::gauge("b", "Second.", 2));
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let text: String = some(&[&Two], 0).iter().map(|it| Line(it).to_string()).collect();
        assert_eq!(
            text,
            "# HELP xenith_a First.\n# TYPE xenith_a counter\nxenith_a 1\n\
             # HELP xenith_b Second.\n# TYPE xenith_b gauge\nxenith_b 2\n"
        );
    }

    #[test]
    fn browsers_find_text_and_an_icon() {
        let page = |path| page(|ip| start(ip, 80), path);
        for (path, status) in [("/metrics", 200), ("/", 404)] {
            let page = page(path);
            assert!(page.status == status && page.sort == CONTENT_TYPE, "{path}: {page:?}");
            assert!(
                page.is_whole() && page.text.contains("metrics") == (status == 404),
                "{path}: {page:?}"
            );
        }
        assert_eq!(page("/favicon.ico").status, 204);
    }

    #[test]
    fn each_number_is_told_once() {
        let sources: [&dyn Source; 6] = [&Two; 6];
        let (mut names, mut done) = (String::new(), 0);
        loop {
            let some = some(&sources, done);
            if some.is_empty() {
                break;
            }
            done += some.len();
            names.extend(some.iter().map(|it| it.name));
        }
        assert_eq!((done, &*names), (12, "abababababab"));
    }
}
