//! Takes files by PUT, and takes them away by DELETE: each is a commit once the server has said so.

use crate::edit::{Unfit, names};
use crate::error::{Error, Flaw};
use crate::id::Id;
use crate::place::Failure;
use crate::snapshot::Snapshot;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::hint::black_box;
use core::time::Duration;
use xenith::fs::Tree;
use xenith::http::files::StaticFiles;
use xenith::http::{self, Exchange, Method, Request, Status};
use xenith::sync::{Channel, Mutex, Signal};
use xenith::time::timeout;

const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, PUT, DELETE, OPTIONS");
const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

/// The files of a commit.
pub(crate) type Files = StaticFiles<Snapshot>;

/// A change that a client wants.
pub(crate) struct Job {
    pub(crate) path: Vec<u8>,
    /// What the file is to hold; nothing if there is to be none.
    pub(crate) content: Option<Vec<u8>>,
    /// The files that it is of, if it is of these alone.
    pub(crate) seen: Option<Weak<Files>>,
    pub(crate) answer: Rc<Signal<Answer>>,
}

/// What became of it.
pub(crate) enum Answer {
    /// It is so in this commit. Whether the file is a new one.
    Done(Id, bool),
    No(Status, String),
}

impl From<Unfit> for Answer {
    fn from(unfit: Unfit) -> Self {
        let status = match &unfit {
            Unfit::Path => Status::BAD_REQUEST,
            Unfit::NotFound => Status::NOT_FOUND,
            Unfit::Flaw(Flaw::Memory) => Status::UNAVAILABLE,
            Unfit::Flaw(Flaw::Bytes(_) | Flaw::Objects(_) | Flaw::Entries(_)) => Status::TOO_LARGE,
            Unfit::Flaw(_) => Status::INTERNAL,
            _ => Status(409),
        };
        Self::No(status, format!("{unfit}"))
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let status = match &failure {
            Failure::Moved => Status(409),
            failure if failure.is_late() => Status(504),
            Failure::Git(Error::Pack(Flaw::Memory)) | Failure::Http(Error::Pack(Flaw::Memory)) => {
                Status::UNAVAILABLE
            }
            _ => Status(502),
        };
        Self::No(status, format!("{failure}"))
    }
}

/// Takes changes from clients, one at a time.
pub(crate) struct Writer {
    /// What a client has to know; nothing if it need not.
    token: &'static str,
    /// Whether names may begin with a dot.
    hidden: bool,
    limit: usize,
    /// How long a client waits for those before it.
    patience: Duration,
    turn: Mutex<()>,
    pub(crate) jobs: Channel<Job, 1>,
}

/// The path of a request as a repository has it; nothing where it has none.
fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut to = Vec::new();
    to.try_reserve_exact(path.len()).ok()?;
    let mut rest = path.strip_prefix('/')?.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        to.push(match byte {
            // A slash that is hidden so is part of a name, which no name may have.
            b'%' => u8::try_from(digit()? << 4 | digit()?).ok().filter(|&it| it != b'/')?,
            byte => byte,
        });
    }
    names(&to).map(drop).ok()?;
    Some(to)
}

/// Whether a name is such as is not served without `hidden=on`.
fn is_hidden(path: &[u8]) -> bool {
    let rest = path.strip_prefix(b".well-known/").unwrap_or(path);
    rest.split(|&byte| byte == b'/').any(|name| name.starts_with(b"."))
}

/// Whether two texts are the same, which takes as long wherever they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |sum, (one, other)| black_box(sum | (one ^ other)));
    one.len() == other.len() && differs == 0
}

async fn say(
    exchange: &mut Exchange<'_>,
    status: Status,
    field: Option<(&str, &str)>,
    why: &str,
) -> Result<(), http::Error> {
    let fields = [TEXT, field.unwrap_or(TEXT)];
    let fields = if field.is_some() { &fields[..] } else { &fields[..1] };
    exchange.respond(status, fields, format!("{why}.\n").as_bytes()).await
}

impl Writer {
    pub(crate) const fn new(
        token: &'static str,
        hidden: bool,
        limit: usize,
        patience: Duration,
    ) -> Self {
        Self { token, hidden, limit, patience, turn: Mutex::new(()), jobs: Channel::new() }
    }

    /// Whether a client may write (RFC 6750, section 2.1).
    fn trusts(&self, request: &Request<'_>) -> bool {
        let mut said = request.fields("Authorization");
        let (first, second) = (said.next().unwrap_or_default(), said.next());
        let (scheme, token) = first.split_at_checked(7).unwrap_or_default();
        let told = scheme.eq_ignore_ascii_case(b"Bearer ") && same(token, self.token.as_bytes());
        self.token.is_empty() || (told && second.is_none())
    }

    /// Answers whatever is neither GET nor HEAD, about the files that are served.
    pub(crate) async fn answer(
        &self,
        files: &RefCell<Rc<Files>>,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), http::Error> {
        let request = exchange.request();
        let is_put = match request.method() {
            Method::Put => true,
            Method::Delete => false,
            Method::Options => return exchange.respond(Status::NO_CONTENT, &[ALLOW], b"").await,
            _ => {
                let why = "Files can be read, put and deleted here";
                return say(exchange, Status::METHOD_NOT_ALLOWED, Some(ALLOW), why).await;
            }
        };
        if !self.trusts(&request) {
            let field = Some(("WWW-Authenticate", "Bearer"));
            return say(exchange, Status(401), field, "writing needs the token").await;
        }
        let Some(path) = decoded(request.path()) else {
            return say(exchange, Status::BAD_REQUEST, None, &format!("{}", Unfit::Path)).await;
        };
        if is_hidden(&path) && !self.hidden {
            let why = "names that begin with a dot are served with hidden=on alone";
            return say(exchange, Status(403), None, why).await;
        }
        let mut collected = None;
        if is_put {
            for name in ["Content-Range", "Content-Encoding"] {
                if request.field(name).is_some() {
                    let why = format!("a file is put as a whole and as it is, without {name}");
                    return say(exchange, Status::BAD_REQUEST, None, &why).await;
                }
            }
            match exchange.body().collect(self.limit).await {
                Ok(body) => collected = Some(body),
                Err(http::Error::Request(Status::TOO_LARGE)) => {
                    let why = "the file is larger than all may be (limit= allows more)";
                    return say(exchange, Status::TOO_LARGE, None, why).await;
                }
                Err(error) => return Err(error),
            }
        }
        let Ok(_turn) = timeout(self.patience, self.turn.lock()).await else {
            let later = Some(("Retry-After", "1"));
            return say(exchange, Status::UNAVAILABLE, later, "others write now").await;
        };
        let conditional = ["If-Match", "If-None-Match", "If-Unmodified-Since"];
        let mut seen = None;
        if conditional.iter().any(|name| request.field(name).is_some()) {
            let files = Rc::clone(&files.borrow());
            let node = files.tree().lookup(&path).await.ok();
            if !files.permits(&request, node.as_ref()) {
                let why = "the file is not what the request speaks of";
                return say(exchange, Status(412), None, why).await;
            }
            seen = Some(Rc::downgrade(&files));
        }
        let content = match collected {
            None => None,
            Some(body) => {
                let mut content = Vec::new();
                content.try_reserve_exact(body.len())?;
                content.extend_from_slice(&body);
                Some(content)
            }
        };
        // It is done also if the client does not wait for it.
        let answer = Rc::new(Signal::new());
        self.jobs.send(Job { path, content, seen, answer: Rc::clone(&answer) }).await;
        match answer.wait().await {
            Answer::Done(id, new) => {
                let status = if new { Status::CREATED } else { Status::NO_CONTENT };
                exchange.respond(status, &[("Git-Commit", &format!("{id}"))], b"").await
            }
            Answer::No(Status::UNAVAILABLE, why) => {
                let later = Some(("Retry-After", "1"));
                say(exchange, Status::UNAVAILABLE, later, &why).await
            }
            Answer::No(status, why) => say(exchange, status, None, &why).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_a_repository_can_have() {
        let long = "a".repeat(256);
        for (path, expected) in [
            ("/a", Some("a")),
            ("/a%20b/c%C3%A9", Some("a b/c\u{e9}")),
            ("/a%2eb", Some("a.b")),
            ("/.gitignore", Some(".gitignore")),
            ("/", None),
            ("/a/", None),
            ("//a", None),
            ("/a//b", None),
            ("/.", None),
            ("/a/./b", None),
            ("/../a", None),
            ("/%2e%2e/a", None),
            ("/a%2Fb", None),
            ("/a%00b", None),
            ("/.git/config", None),
            ("/a/.GIT", None),
            ("/%2Egit", None),
            ("/%", None),
            ("/%1", None),
            ("/%g1", None),
            ("/%+1", None),
            (&format!("/{long}"), None),
            (&format!("/{}", "a/".repeat(2048) + "a"), None),
            ("a", None),
            ("*", None),
        ] {
            assert_eq!(decoded(path).as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn what_is_not_served_is_not_written() {
        for (path, hidden) in [
            ("a.b", false),
            (".a", true),
            ("a/.b/c", true),
            (".well-known/a", false),
            (".well-known/.a", true),
            ("a/.well-known/b", true),
        ] {
            assert_eq!(is_hidden(path.as_bytes()), hidden, "{path}");
        }
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        for (one, other, expected) in [
            ("secret", "secret", true),
            ("secret", "secreT", false),
            ("secret", "secre", false),
            ("", "s", false),
        ] {
            assert_eq!(same(one.as_bytes(), other.as_bytes()), expected);
            assert_eq!(same(other.as_bytes(), one.as_bytes()), expected);
        }
    }
}
