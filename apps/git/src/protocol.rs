//! What is asked and answered: git's wire protocol, version 2.

use crate::error::Error;
use crate::id::Id;
use crate::pack::{self, Limits, Object};
use crate::packet::{DELIMITER, FLUSH, Packet, Packets, put};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use embedded_io_async::Read;

/// The names of refs that a user may mean by `name`, the first of which is preferred.
pub(crate) fn candidates(name: &str) -> Vec<String> {
    if name == "HEAD" || name.starts_with("refs/") {
        return Vec::from([name.into()]);
    }
    Vec::from([format!("refs/heads/{name}"), format!("refs/tags/{name}")])
}

/// Whether `name` may be that of a ref, as far as lines are concerned.
pub(crate) fn is_name(name: &str) -> bool {
    (1..1024).contains(&name.len()) && name.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

/// What a server offers beside what has to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// That it is told the sort of ids. Before 2.28 git ends for words that it does not know.
    format: bool,
}

/// Reads what a server offers.
pub(crate) async fn offer<R: Read>(packets: &mut Packets<R>) -> Result<Offer, Error<R::Error>> {
    let mut found = packets.next_line().await?;
    // Over HTTP some say first for what they say it.
    if found && packets.line().starts_with(b"# service=") {
        if packets.next_line().await? {
            return Err(Error::Malformed("list of services"));
        }
        found = packets.next_line().await?;
    }
    if !found || packets.line() != b"version 2" {
        return Err(Error::Version);
    }
    let (mut lists, mut fetches, mut format) = (false, false, false);
    while packets.next_line().await? {
        let line = packets.line();
        let (key, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &line[line.len()..]),
        };
        match key {
            b"ls-refs" => lists = true,
            b"fetch" => fetches = value.split(|&byte| byte == b' ').any(|it| it == b"shallow"),
            b"object-format" if value != b"sha1" => return Err(Error::Format),
            b"object-format" => format = true,
            _ => {}
        }
    }
    match (lists, fetches) {
        (false, _) => Err(Error::Lacks("its list of branches (ls-refs)")),
        (_, false) => Err(Error::Lacks("the newest commit alone (fetch=shallow)")),
        _ => Ok(Offer { format }),
    }
}

/// A request: its command, and the arguments.
fn request(offer: Offer, command: &str, arguments: &[String]) -> Vec<u8> {
    let mut to = Vec::new();
    put(&mut to, format!("command={command}\n").as_bytes());
    if offer.format {
        put(&mut to, b"object-format=sha1\n");
    }
    to.extend_from_slice(DELIMITER);
    arguments.iter().for_each(|text| put(&mut to, text.as_bytes()));
    to.extend_from_slice(FLUSH);
    to
}

/// Asks for refs of these names.
pub(crate) fn list(offer: Offer, candidates: &[String]) -> Vec<u8> {
    let prefixes: Vec<String> =
        candidates.iter().map(|name| format!("ref-prefix {name}\n")).collect();
    request(offer, "ls-refs", &prefixes)
}

/// Reads the answer to that: what the first of the names stands for that there is.
pub(crate) async fn listed<R: Read>(
    packets: &mut Packets<R>,
    candidates: &[String],
) -> Result<Id, Error<R::Error>> {
    let mut best: Option<(usize, Id)> = None;
    while packets.next_line().await? {
        let mut words = packets.line().split(|&byte| byte == b' ');
        let id = words.next().and_then(Id::parse).ok_or(Error::Malformed("ref"))?;
        let name = words.next().ok_or(Error::Malformed("ref"))?;
        let at = candidates.iter().position(|it| it.as_bytes() == name);
        if let Some(at) = at.filter(|&at| best.is_none_or(|(best, _)| at < best)) {
            best = Some((at, id));
        }
    }
    best.map(|(_, id)| id).ok_or(Error::NoSuchRef)
}

/// Asks for what `id` stands for, without what was before.
pub(crate) fn fetch(offer: Offer, id: Id) -> Vec<u8> {
    let words = ["ofs-delta\n", "no-progress\n", "deepen 1\n"].map(String::from);
    let mut words = Vec::from(words);
    words.push(format!("want {id}\n"));
    words.push("done\n".into());
    request(offer, "fetch", &words)
}

/// Reads the answer to that.
pub(crate) async fn fetched<R: Read>(
    packets: &mut Packets<R>,
    limits: Limits,
) -> Result<Vec<Object>, Error<R::Error>> {
    loop {
        if !packets.next_line().await? {
            return Err(Error::Malformed("answer, which has no pack"));
        }
        if packets.line() == b"packfile" {
            return pack::read(packets, limits).await;
        }
        // Other sections, such as which commits are without those before them.
        loop {
            match packets.next().await? {
                Packet::Line => {}
                Packet::Delimiter => break,
                _ => return Err(Error::Malformed("answer, which has no pack")),
            }
        }
    }
}
