//! Smart HTTP: an exchange for each question of git's protocol.

use crate::error::Error;
use crate::id::Id;
use crate::pack::{Limits, Object};
use crate::packet::{LISTS, Packets};
use crate::place::{Failure, Wanted};
use crate::protocol::{self, Offer};
use crate::send::{self, Push};
use crate::snapshot::Snapshot;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use xenith::http::Url;
use xenith::http::client::{self, Client, Content, Request, Response};
use xenith::ip::{Resolve, Tcp};

/// The bounds of an exchange of HTTP.
fn limits(wanted: &Wanted) -> client::Limits {
    client::Limits {
        body: wanted.limits.wire().max(LISTS),
        connect: wanted.patience,
        response: wanted.patience,
        total: wanted.time,
        ..client::Limits::default()
    }
}

/// A service of git over HTTP.
struct Service {
    /// Where it says what it offers, and the type of that.
    first: &'static str,
    offer: &'static str,
    /// Where the other questions go, and the types of those and their answers.
    then: &'static str,
    request: &'static str,
    result: &'static str,
    /// The version of the protocol. It is not sent where there is none but one.
    version: (&'static str, &'static str),
}

macro_rules! service {
    ($name:literal, $version:literal) => {
        Service {
            first: concat!("/info/refs?service=", $name),
            offer: concat!("application/x-", $name, "-advertisement"),
            then: concat!("/", $name),
            request: concat!("application/x-", $name, "-request"),
            result: concat!("application/x-", $name, "-result"),
            version: ("Git-Protocol", $version),
        }
    };
}

static UPLOAD: Service = service!("git-upload-pack", "version=2");
static RECEIVE: Service = service!("git-receive-pack", "");

/// What is asked over HTTP. It is a value, so that an image holds the way to an answer once.
enum Question<'a> {
    /// What can be read.
    Offer,
    /// What one of these names stands for.
    List(&'a [String]),
    Pack(Limits),
    /// What this branch stands for, told in so many bytes.
    Tip(&'a str, u64),
    /// What became of a push to it.
    Report(&'a str),
}

/// The answer to one.
enum Told {
    Offer(Offer),
    Id(Id),
    Objects(Vec<Object>),
    Tip(Option<Id>),
    Report(Option<String>),
}

impl Question<'_> {
    const fn service(&self) -> &'static Service {
        match self {
            Self::Offer | Self::List(_) | Self::Pack(_) => &UPLOAD,
            Self::Tip(..) | Self::Report(_) => &RECEIVE,
        }
    }

    const fn is_first(&self) -> bool {
        matches!(self, Self::Offer | Self::Tip(..))
    }

    async fn read(&self, content: &mut Content<'_>) -> Result<Told, Error<client::Error>> {
        let mut packets = Packets::new(content);
        Ok(match *self {
            Self::Offer => Told::Offer(protocol::offer(&mut packets).await?),
            Self::List(candidates) => Told::Id(protocol::listed(&mut packets, candidates).await?),
            Self::Pack(limits) => {
                let mut packets = packets.of_pack(limits.wire());
                Told::Objects(protocol::fetched(&mut packets, limits).await?)
            }
            Self::Tip(branch, most) => {
                Told::Tip(send::tip(&mut packets.of_pack(most), branch).await?)
            }
            Self::Report(branch) => Told::Report(send::report(&mut packets, branch).await?),
        })
    }
}

/// Reads what is wanted.
pub(crate) async fn read<I: Tcp + Resolve>(
    ip: &I,
    url: &str,
    wanted: &Wanted,
    known: &mut Option<Id>,
) -> Result<Option<Snapshot>, Failure> {
    let limits = limits(wanted);
    let candidates = protocol::candidates(&wanted.name);
    let (url, Told::Offer(offer)) = ask(ip, limits, url, b"", Question::Offer).await? else {
        return Err(Failure::NotGit);
    };
    let list = protocol::list(offer, &candidates);
    let question = Question::List(&candidates);
    let (_, Told::Id(id)) = ask(ip, limits, &url, &list, question).await? else {
        return Err(Failure::NotGit);
    };
    if known.replace(id) == Some(id) {
        return Ok(None);
    }
    let fetch = protocol::fetch(offer, id);
    let question = Question::Pack(wanted.limits);
    let (_, Told::Objects(objects)) = ask(ip, limits, &url, &fetch, question).await? else {
        return Err(Failure::NotGit);
    };
    let snapshot = Snapshot::new(id, objects, wanted.limits).await;
    snapshot.map(Some).map_err(|flaw| Failure::Http(flaw.into()))
}

/// Asks what a branch stands for and, if that is what a push is for, pushes: what it stands for then.
/// Notes when something is sent that may change it.
pub(crate) async fn give<I: Tcp + Resolve>(
    ip: &I,
    url: &str,
    branch: &str,
    wanted: &Wanted,
    push: Option<(&Push, &Cell<bool>)>,
) -> Result<Option<Id>, Failure> {
    let limits = limits(wanted);
    let question = Question::Tip(branch, wanted.limits.wire());
    let (url, Told::Tip(tip)) = ask(ip, limits, url, b"", question).await? else {
        return Err(Failure::NotGit);
    };
    let Some((push, sent)) = push.filter(|(push, _)| tip == Some(push.old)) else {
        return Ok(tip);
    };
    sent.set(true);
    // It takes as long as the server's hooks do.
    let limits = client::Limits { response: wanted.time, ..limits };
    match ask(ip, limits, &url, &push.request, Question::Report(branch)).await?.1 {
        Told::Report(None) => Ok(Some(push.new)),
        Told::Report(Some(why)) => Err(Failure::Refused(why)),
        _ => Err(Failure::NotGit),
    }
}

/// Asks a question and has the answer read: the first one of the repository at `url`, and the others,
/// which are `body`, where that one says. Redirects are followed for the first one alone, as git does.
async fn ask<I: Tcp + Resolve>(
    ip: &I,
    limits: client::Limits,
    url: &str,
    body: &[u8],
    question: Question<'_>,
) -> Result<(String, Told), Failure> {
    let (service, is_first) = (question.service(), question.is_first());
    let fields = [service.version, ("Content-Type", service.request), ("Accept", service.result)];
    let first = format!("{url}{}", service.first);
    let (request, kind, redirects) = if is_first {
        let request = Request { fields: &fields[..1], ..Request::get(&first) };
        (request, service.offer, limits.redirects)
    } else {
        let request = Request { method: "POST", url, fields: &fields, body, decode: true };
        (request, service.result, 0)
    };
    let take = async |at: &Url, answer: Response<'_>, content: &mut Content<'_>| {
        let at = at.to_string();
        Ok(match is_git(&answer, kind) {
            Ok(()) => question.read(content).await.map(|told| (at, told)).map_err(Failure::Http),
            Err(failure) => Err(failure),
        })
    };
    // git's own server says the type of its answer to a push before it reads that.
    let mut client = Client::new(ip, client::Limits { redirects, ..limits }).sends_all();
    let result = client.fetch(&request, take).await;
    // No other question goes over its connection, as POST does not go over one that has waited.
    client.close().await;
    let (at, told) = result??;
    if !is_first {
        return Ok((at, told));
    }
    // Whoever redirects the first question means the others as well.
    let asked = Url::parse(&first).map(|it| it.to_string());
    let base = match at.strip_suffix(service.first) {
        _ if asked.is_ok_and(|asked| asked == at) => url.into(),
        Some(base) => with_user(url, base),
        None => return Err(Failure::NotGit),
    };
    Ok((format!("{base}{}", service.then), told))
}

/// The address `to`, which a server gave, with the user and the password of `url`: if it is at the
/// same server, as no other is to learn of them.
fn with_user(url: &str, to: &str) -> String {
    let server = |url: &Url| (url.host().to_ascii_lowercase(), url.port(), url.is_secure());
    let servers = (Url::parse(url).map(|it| server(&it)), Url::parse(to).map(|it| server(&it)));
    let is_same = matches!(servers, (Ok(one), Ok(other)) if one == other);
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    match (authority.rsplit_once('@'), to.split_once("://")) {
        (Some((user, _)), Some((scheme, rest))) if is_same => format!("{scheme}://{user}@{rest}"),
        _ => to.into(),
    }
}

/// Whether an answer is one of git's, of this type.
fn is_git(answer: &Response<'_>, kind: &str) -> Result<(), Failure> {
    if answer.is_failure() || answer.status().0 >= 300 {
        return Err(Failure::Status(answer.status()));
    }
    let said = answer.field("Content-Type").unwrap_or_default();
    if said.trim_ascii() == kind.as_bytes() { Ok(()) } else { Err(Failure::NotGit) }
}
