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
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::hint::black_box;
use core::task::Poll;
use core::time::Duration;
use xenith::fs::{self, Tree};
use xenith::http::files::StaticFiles;
use xenith::http::{self, Exchange, Method, Request, Status};
use xenith::sync::{Channel, Signal, Wakers};
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

impl Answer {
    /// What is answered where a path cannot be looked up.
    pub(crate) fn no_path(error: &fs::Error) -> Self {
        let status = match error {
            fs::Error::NoMemory => Status::UNAVAILABLE,
            _ => Status(409),
        };
        Self::No(status, format!("what is there by now cannot be found: {error}"))
    }
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

/// Whose turn it is, of any number of tasks.
#[derive(Default)]
struct Turns {
    taken: Cell<bool>,
    waiting: RefCell<Wakers>,
}

/// The turn of a task, until it is dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    async fn take(&self) -> Turn<'_> {
        poll_fn(|context| {
            if !self.taken.replace(true) {
                return Poll::Ready(Turn(self));
            }
            self.waiting.borrow_mut().add(context.waker());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.set(false);
        self.0.waiting.borrow_mut().wake();
    }
}

/// Takes changes from clients, one at a time.
pub(crate) struct Writer {
    /// What a client has to know; nothing if whoever comes may write.
    token: Option<&'static str>,
    /// Whether names may begin with a dot.
    hidden: bool,
    limit: usize,
    /// How long a client waits for those before it.
    patience: Duration,
    turns: Turns,
    pub(crate) jobs: Channel<Job, 1>,
}

/// The path of a request as a repository has it; nothing where it has none.
fn decoded(path: &str, to_write: bool) -> Option<Vec<u8>> {
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
    names(&to, to_write).map(drop).ok()?;
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

async fn respond(exchange: &mut Exchange<'_>, answer: Answer) -> Result<(), http::Error> {
    match answer {
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

impl Writer {
    pub(crate) fn new(
        token: Option<&'static str>,
        hidden: bool,
        limit: usize,
        patience: Duration,
    ) -> Self {
        Self { token, hidden, limit, patience, turns: Turns::default(), jobs: Channel::new() }
    }

    /// Whether a client may write (RFC 6750, section 2.1).
    fn trusts(&self, request: &Request<'_>) -> bool {
        let mut said = request.fields("Authorization");
        let (first, second) = (said.next().unwrap_or_default(), said.next());
        let (scheme, token) = first.split_at_checked(7).unwrap_or_default();
        self.token.is_none_or(|own| {
            let told = scheme.eq_ignore_ascii_case(b"Bearer ") && same(token, own.as_bytes());
            told && second.is_none()
        })
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
        let Some(path) = decoded(request.path(), is_put) else {
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
        let Ok(turn) = timeout(self.patience, self.turns.take()).await else {
            let later = Some(("Retry-After", "1"));
            return say(exchange, Status::UNAVAILABLE, later, "others write now").await;
        };
        let conditional = ["If-Match", "If-None-Match", "If-Unmodified-Since"];
        let mut seen = None;
        if conditional.iter().any(|name| request.field(name).is_some()) {
            let files = Rc::clone(&files.borrow());
            let node = match files.tree().lookup(&path).await {
                Ok(node) => Some(node),
                Err(fs::Error::NotFound) => None,
                Err(error) => return respond(exchange, Answer::no_path(&error)).await,
            };
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
        let answer = answer.wait().await;
        // Who takes its answer slowly holds nobody up.
        drop(turn);
        respond(exchange, answer).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::pin;
    use xenith::task::{block_on, join};
    use xenith::time::sleep;

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
            ("/a%5Cb", None),
            ("/a%0Ab", None),
            ("/a%7F", None),
            ("/GIT~1/a", None),
            ("/a/.git%20.%20", None),
            ("/.git::$INDEX_ALLOCATION", None),
            ("/.g%E2%80%8Cit", None),
            ("/git~2", Some("git~2")),
            ("/a:b", Some("a:b")),
            ("/%", None),
            ("/%1", None),
            ("/%g1", None),
            ("/%+1", None),
            (&format!("/{long}"), None),
            (&format!("/{}", "a/".repeat(2048) + "a"), None),
            ("a", None),
            ("*", None),
        ] {
            assert_eq!(decoded(path, true).as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn what_is_there_under_a_name_that_none_may_get_can_be_removed() {
        for (path, expected) in
            [("/a%5Cb", Some("a\\b")), ("/git~1", Some("git~1")), ("/.git", None)]
        {
            assert_eq!(decoded(path, false).as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn those_who_wait_for_their_turn_leave_the_vcpu_to_others() {
        xenith::testing::simulate_time();
        let (turns, polls, had) = (Turns::default(), Cell::new(0), RefCell::new(Vec::new()));
        let wait = async |number: u32| {
            let mut taking = pin!(turns.take());
            let turn = poll_fn(|context| {
                polls.update(|count: u32| count + 1);
                // A vCPU that does nothing else has no end.
                assert!(polls.get() < 100, "those who wait wake each other");
                taking.as_mut().poll(context)
            });
            let _turn = turn.await;
            had.borrow_mut().push(number);
            sleep(Duration::from_secs(1)).await;
        };
        let others = |first| join(join(wait(first), wait(first + 1)), wait(first + 2));
        // Who gives up is waited for by nobody.
        let impatient = timeout(Duration::from_millis(500), wait(9));
        let ((_, given_up), _) = block_on(join(join(others(0), impatient), others(3)));
        assert!(given_up.is_err());
        assert_eq!(*had.borrow(), [0, 1, 2, 3, 4, 5]);
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
