//! Numbers about the machine in the text format that Prometheus reads.
//!
//! An app mounts [`render`] where it likes; [`start`] serves it on a port.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::rc::Rc;
use alloc::string::String;
use core::fmt::Write as _;
use devices::http::{self, Body, Method, Request, Response, Status};
use devices::ip::{self, Tcp};
use embedded_io_async::{Read, Write};
use kernel::metrics::{Kind, Machine, Source};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Everything that `sources` count, as text.
#[must_use]
pub fn render(sources: &[&dyn Source]) -> String {
    let mut text = String::new();
    for source in sources {
        source.metrics(&mut |metric| {
            let name = metric.name;
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "# HELP xenith_{name} {}\n# TYPE xenith_{name} {kind}\nxenith_{name} {}\n",
                metric.help, metric.value
            );
        });
    }
    text
}

/// Answers `GET /metrics`.
struct Server<N>(Rc<N>);

impl<N: Source> http::Handler for Server<N> {
    async fn handle<R, W>(
        &self,
        request: &Request<'_>,
        body: &mut Body<'_, R, W>,
        response: Response<'_>,
    ) -> Result<(), http::Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let plain = [("Content-Type", CONTENT_TYPE)];
        match (request.method(), request.path()) {
            (Method::Get | Method::Head, "/metrics") => {
                let text = render(&[&Machine, &*self.0]);
                response.send(body, Status::OK, &plain, text.as_bytes()).await
            }
            (Method::Get | Method::Head, _) => {
                response.send(body, Status::NOT_FOUND, &plain, b"See /metrics.\n").await
            }
            _ => {
                let fields = [plain[0], ("Allow", "GET, HEAD")];
                response.send(body, Status::METHOD_NOT_ALLOWED, &fields, b"").await
            }
        }
    }
}

/// Serves the numbers on `port` until the network is down.
///
/// # Errors
/// Those of [`Tcp::listen`].
pub async fn start<T: Tcp + Source + 'static>(ip: T, port: u16) -> Result<(), ip::Error> {
    let ip = Rc::new(ip);
    let handler = Rc::new(Server(ip.clone()));
    http::serve(&*ip, port, http::Limits::default(), Rc::default(), handler, |port| {
        kernel::machine::line(format_args!("metrics: listening on port {port}"));
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::metrics::Metric;

    struct Two;

    impl Source for Two {
        fn metrics(&self, each: &mut dyn FnMut(Metric)) {
            each(Metric::counter("a", "First.", 1));
            each(Metric::gauge("b", "Second.", 2));
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        assert_eq!(
            render(&[&Two]),
            "# HELP xenith_a First.\n# TYPE xenith_a counter\nxenith_a 1\n\
             # HELP xenith_b Second.\n# TYPE xenith_b gauge\nxenith_b 2\n"
        );
        assert!(render(&[&Machine]).contains("\nxenith_uptime_milliseconds "));
    }
}
