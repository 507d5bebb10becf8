//! A chat in the browser.
//!
//! * `/` is a page with a script, which speaks by a WebSocket at `/chat`: each message is
//!   JSON with a `name` and a `text`, and comes back to all.
//! * `/events` tells the same by server-sent events, to who only listens.
//! * `/lines` gives the last lines as a list in JSON, and a form or JSON posted to `/say` is
//!   said as well.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
#[path = "../../../tests/http/pages.rs"]
mod pages;
mod room;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use room::Room;
use serde::{Deserialize, Serialize};
use xenith::entropy;
use xenith::http::events::{Event, Events};
use xenith::http::websocket::{Code, Message, Options, WebSocket};
use xenith::http::{Error, Exchange, Handler, Method, Server, Status, form, json};
use xenith::ip::{self, Tcp};
use xenith::task::{Either, select};

/// Bytes of a line, of its name, and of the message that it comes in.
const TEXT: usize = 400;
const NAME: usize = 40;
const MESSAGE: usize = 4096;

const HTML: [(&str, &str); 1] = [("Content-Type", "text/html; charset=utf-8")];
const PLAIN: [(&str, &str); 1] = [("Content-Type", "text/plain; charset=utf-8")];

/// What somebody says.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    text: String,
}

impl Line {
    /// Says it in the room; why it is not said, where it is too long.
    fn say(&self, room: &Room) -> Result<Result<(), &'static str>, Error> {
        if self.name.len() > NAME || self.text.len() > TEXT {
            return Ok(Err("a name has at most 40 bytes, and a text 400"));
        }
        room.say(json::text(self)?)?;
        Ok(Ok(()))
    }
}

struct Chat {
    room: Rc<Room>,
    /// What tells the numbers of lines from those before a restart.
    begun: u64,
}

impl Handler for Chat {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let request = exchange.request();
        match (request.method(), request.path()) {
            (Method::Get | Method::Head, "/") => {
                exchange.respond(Status::OK, &HTML, include_bytes!("page.html")).await
            }
            (_, "/chat") => self.chat(exchange).await,
            (Method::Get | Method::Head, "/events") => self.events(exchange).await,
            (Method::Get | Method::Head, "/lines") => self.lines(exchange).await,
            (Method::Post, "/say") => self.say(exchange).await,
            (_, "/" | "/events" | "/lines" | "/say") => {
                let status = Status::METHOD_NOT_ALLOWED;
                exchange.respond(status, &PLAIN, b"The method is not allowed here.\n").await
            }
            _ => exchange.respond(Status::NOT_FOUND, &PLAIN, b"There is no such page.\n").await,
        }
    }
}

impl Chat {
    /// Says what comes to all, and what all say.
    async fn chat(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let options = Options { message: MESSAGE, ..Options::default() };
        let Some(mut socket) = WebSocket::accept(exchange, &options).await? else { return Ok(()) };
        let mut member = self.room.join();
        loop {
            let said = async {
                let message = socket.receive().await?;
                Ok::<_, Error>(message.map(|message| {
                    match message {
                        Message::Text(text) => json::parse::<Line>(text.as_bytes())
                            .map_err(|wrong| format!("the JSON is wrong: {wrong}")),
                        Message::Binary(_) => Err("a line is text".into()),
                    }
                }))
            };
            let why = match select(said, member.next()).await {
                Either::First(said) => match said? {
                    Some(Ok(line)) => line.say(&self.room)?.err().map(String::from),
                    Some(Err(why)) => Some(why),
                    None => return Ok(()),
                },
                Either::Second((_, line)) => {
                    socket.send(line.as_str()).await?;
                    None
                }
            };
            if let Some(why) = why {
                return Ok(socket.close(Code::INVALID, &why).await?);
            }
        }
    }

    /// Tells what all say. Who comes again is told what it missed.
    async fn events(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let last = xenith::http::events::last_id(&exchange.request());
        let last = last.and_then(|id| self.number(id));
        let mut events = Events::begin(exchange).await?;
        let mut member = self.room.join();
        while let Some((number, line)) = events.wait(member.next()).await? {
            if last.is_none_or(|last| number > last) {
                let id = format!("{:016x}-{number}", self.begun);
                events.send(&Event::new(&line).id(&id)).await?;
            }
        }
        events.finish().await
    }

    /// The number of a line that was told with this id, since the start.
    fn number(&self, id: &str) -> Option<u64> {
        let (begun, number) = id.split_once('-')?;
        let is_ours = u64::from_str_radix(begun, 16) == Ok(self.begun);
        number.parse().ok().filter(|_| is_ours)
    }

    /// Gives the last lines.
    async fn lines(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let fields = [("Content-Type", json::TYPE)];
        let mut sink = exchange.stream(Status::OK, &fields, None).await?;
        let mut before = '[';
        for line in self.room.lines() {
            sink.print(format_args!("{before}{line}")).await?;
            before = ',';
        }
        sink.print(format_args!("{}", if before == '[' { "[]" } else { "]" })).await?;
        sink.finish().await
    }

    /// Says what a form or JSON holds.
    async fn say(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let kind = exchange.request().field("Content-Type").unwrap_or_default();
        let line = if kind.starts_with(form::TYPE.as_bytes()) {
            let Some(form) = form::read(exchange, MESSAGE).await? else { return Ok(()) };
            let value = |name| form.get(name).unwrap_or_default().into_owned();
            Line { name: value("name"), text: value("text") }
        } else {
            let Some(line) = json::read(exchange, MESSAGE).await? else { return Ok(()) };
            line
        };
        match line.say(&self.room)? {
            Ok(()) => exchange.respond(Status::NO_CONTENT, &[], b"").await,
            Err(why) => exchange.respond(Status::TOO_LARGE, &PLAIN, why.as_bytes()).await,
        }
    }
}

/// Serves on `port` until the network is down, or the toolstack asks for the end.
///
/// # Errors
/// Those of [`Tcp::bind`], and [`ip::Error::NoEntropy`].
pub async fn start<T: Tcp + 'static>(ip: T, port: u16) -> Result<(), ip::Error> {
    let begun = entropy::next_u64().map_err(|_| ip::Error::NoEntropy)?;
    let server = Server::new(Chat { room: Rc::default(), begun }).bind(&ip, ip::any(port)).await?;
    xenith::println!("chat: listening on port {}", server.local_addr().port());
    server.serve().await
}
