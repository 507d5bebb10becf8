//! Pages of an app as a browser is given them: on a cable, in simulated time.

#[path = "reading.rs"]
mod reading;

use core::net::Ipv4Addr;
use reading::all;
use std::format;
use std::string::{String, ToString};
use xenith::http::client::{Limits, get};
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack};
use xenith::net::cable::{End, Options, cable};

/// What is at a path.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    /// The value of `Content-Type`.
    pub(super) sort: String,
    pub(super) text: String,
}

impl Page {
    /// Whether a browser asks for nothing else beside it and shows it as the user wants it,
    /// dark or light. Text is shown so by itself.
    pub(super) fn is_whole(&self) -> bool {
        !self.sort.starts_with("text/html")
            || [
                "<meta name=\"color-scheme\" content=\"light dark\">",
                "<link rel=\"icon\" href=\"data:,\">",
            ]
            .iter()
            .all(|tag| self.text.contains(tag))
    }
}

/// Gets the page at `path` from the app that `start` makes, which listens on port 80.
pub(super) fn page<F: Future>(start: impl FnOnce(Stack<End>) -> F, path: &str) -> Page {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    xenith::task::block_on(async {
        let (a, b) = cable(Options::default());
        let (server, client) = (start(stack(a, 1)), stack(b, 2));
        let url = format!("http://10.0.0.1{path}");
        let limits = Limits::default();
        let asked = get(&client, &url, &limits, async |_, answer, content| {
            let all = all(content, 512).await?;
            let sort = answer.field("content-type").unwrap_or_default();
            let text = |bytes| String::from_utf8_lossy(bytes).to_string();
            Ok(Page { status: answer.status().0, sort: text(sort), text: text(&all) })
        });
        match xenith::task::select(core::pin::pin!(asked), core::pin::pin!(server)).await {
            xenith::task::Either::First(page) => page.unwrap(),
            xenith::task::Either::Second(_) => panic!("the app ended"),
        }
    })
}
