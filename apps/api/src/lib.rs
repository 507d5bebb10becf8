//! A REST service: a list of notes, in memory.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
mod tests;

use alloc::{format, rc::Rc, string::String, vec::Vec};
use core::{cell::RefCell, net::IpAddr};
use serde::{Deserialize, Serialize};
use xenith::http::{
    AccessLog, Error, Exchange, ProblemDetails, Router, Server, Status, json, with,
};
use xenith::ip::{self, Tcp};

/// A note: its text, who sent it, and a number that the list gives it.
#[derive(Deserialize, Serialize)]
struct Note {
    #[serde(skip_deserializing)]
    id: u32,
    #[serde(skip_deserializing)]
    from: Option<IpAddr>,
    text: String,
}

type Notes = RefCell<Vec<Note>>;

/// Finds where the note stands that the path of the request names.
fn find(notes: &Notes, exchange: &Exchange<'_>) -> Result<usize, Error> {
    let id = exchange.parameter("id").and_then(|id| id.parse().ok());
    let at = notes.borrow().iter().position(|note| Some(note.id) == id);
    at.ok_or(Error::Request(Status::NOT_FOUND))
}

async fn list(notes: &Notes, exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let text = json::text(&*notes.borrow())?;
    exchange.respond(Status::OK, &[json::FIELD], text.as_bytes()).await
}

async fn create(notes: &Notes, exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let Some(mut note) = json::read::<Note>(exchange, 1024).await? else { return Ok(()) };
    if notes.borrow().len() == 100 {
        return exchange.refuse(Status(409), format_args!("there are 100 notes already")).await;
    }
    note.id = notes.borrow().last().map_or(1, |last| last.id + 1);
    note.from = Some(exchange.peer_addr().ip());
    let (text, place) = (json::text(&note)?, format!("/notes/{}", note.id));
    notes.borrow_mut().push(note);
    exchange.respond(Status::CREATED, &[json::FIELD, ("Location", &place)], text.as_bytes()).await
}

async fn get(notes: &Notes, exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let text = json::text(&notes.borrow()[find(notes, exchange)?])?;
    exchange.respond(Status::OK, &[json::FIELD], text.as_bytes()).await
}

async fn delete(notes: &Notes, exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let at = find(notes, exchange)?;
    notes.borrow_mut().remove(at);
    exchange.respond(Status::NO_CONTENT, &[], b"").await
}

/// Serves on `port` until the network is down, or the toolstack asks for the end.
///
/// # Errors
/// Those of [`Tcp::bind`].
pub async fn start<T: Tcp + 'static>(ip: T, port: u16) -> Result<(), ip::Error> {
    let notes = Rc::new(Notes::default());
    let router = Router::new()
        .get("/notes", with(&notes, list))
        .post("/notes", with(&notes, create))
        .get("/notes/{id}", with(&notes, get))
        .delete("/notes/{id}", with(&notes, delete));
    xenith::println!("api: listening on port {port}");
    Server::new(AccessLog::new(ProblemDetails::new(router))).serve(&ip, ip::any(port)).await
}
