//! Where a repository is, and how it is read from there: by git's own protocol, or by HTTP.

use crate::error::Error;
use crate::id::Id;
use crate::pack::Limits;
use crate::packet::{FLUSH, LISTS, Packets, put};
use crate::protocol;
use crate::snapshot::Snapshot;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use xenith::http::client::{self, Client, Content, Request, Response};
use xenith::http::{Status, Url};
use xenith::ip::{self, Resolve, Stream, Tcp};
use xenith::text::Escaped;
use xenith::time::timeout;

/// The port of git's own protocol.
const PORT: u16 = 9418;

/// How long a connection that is not needed may take to close in order.
const CLOSE: Duration = Duration::from_secs(1);

/// What every request of HTTP says.
const VERSION: (&str, &str) = ("Git-Protocol", "version=2");

/// Says where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a server of git's own protocol.
    Git {
        /// Its name or address.
        host: String,
        /// Its TCP port.
        port: u16,
        /// The repository's path there.
        path: String,
    },
    /// At this URL, over HTTP or HTTPS.
    Http(String),
}

impl Place {
    /// Reads `git://HOST[:PORT]/PATH`, or a URL of HTTP. Returns `None` for anything else.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let Some(rest) = url.strip_prefix("git://") else {
            return Url::parse(url).ok().map(|_| Self::Http(url.trim_end_matches('/').into()));
        };
        let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
        let (host, port) = match authority.strip_prefix('[') {
            // An address of IPv6.
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at_checked(authority.find(':').unwrap_or(authority.len()))?,
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok()?,
            None if port.is_empty() => PORT,
            None => return None,
        };
        // So that no line ends early.
        let plain = |text: &str| text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        let fits = url.len() <= 4096 && plain(url) && !host.is_empty() && !host.contains('@');
        (fits && path.len() > 1).then(|| Self::Git { host: host.into(), port, path: path.into() })
    }
}

/// Says why a repository could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// There is no connection with the server.
    Connect(ip::Error),
    /// What came over git's own protocol is wrong.
    Git(Error<ip::Error>),
    /// What came over HTTP is wrong.
    Http(Error<client::Error>),
    /// There is no answer of HTTP.
    Fetch(client::Failure),
    /// The server answers with this status.
    Status(Status),
    /// The server answers with something else than git would.
    NotGit,
    /// It takes longer than this.
    TimedOut(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Git(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::Fetch(failure) => failure.fmt(f),
            Self::Status(status) => {
                write!(f, "the server answers with {} {}", status.0, status.phrase())
            }
            Self::NotGit => f.write_str("there is no server of git's smart HTTP"),
            Self::TimedOut(time) => write!(f, "it is not done within {} s", time.as_secs_f32()),
        }
    }
}

impl core::error::Error for Failure {}

impl Failure {
    /// Whether the same commit would fail again.
    pub(crate) const fn lasts(&self) -> bool {
        match self {
            Self::Git(error) => error.lasts(),
            Self::Http(error) => error.lasts(),
            _ => false,
        }
    }
}

impl From<client::Failure> for Failure {
    fn from(failure: client::Failure) -> Self {
        Self::Fetch(failure)
    }
}

/// Says what is wanted, and within which bounds.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A branch or tag by its name (`main`, `v1`), a ref by its whole name, or `HEAD`.
    pub name: String,
    /// What it may take of the memory.
    pub limits: Limits,
    /// The longest silence of the server, and of each of its addresses.
    pub patience: Duration,
    /// The time for all of it.
    pub time: Duration,
}

/// Reads the newest commit of what is `wanted` at `place` and its files, unless the name stands
/// for what is `known`, which becomes what it stands for.
///
/// # Errors
/// [`Failure`].
pub async fn newest<I: Tcp + Resolve>(
    ip: &I,
    place: &Place,
    wanted: &Wanted,
    known: &mut Option<Id>,
) -> Result<Option<Snapshot>, Failure> {
    let all = async {
        match place {
            Place::Git { host, port, path } => {
                let stream = connect(ip, host, *port, wanted.patience).await;
                let mut stream = Patient(stream.map_err(Failure::Connect)?, wanted.patience);
                let server = host_line(host, *port);
                let result = talk(&mut stream, &server, path, wanted, known).await;
                // What came is judged by itself, however the connection ends.
                let _ = timeout(CLOSE, stream.0.close()).await;
                result.map_err(Failure::Git)
            }
            Place::Http(url) => {
                let limits = client::Limits {
                    body: wanted.limits.wire().max(LISTS),
                    connect: wanted.patience,
                    response: wanted.patience,
                    total: wanted.time,
                    ..client::Limits::default()
                };
                exchange(ip, limits, url, wanted, known).await
            }
        }
    };
    timeout(wanted.time, all).await.unwrap_or(Err(Failure::TimedOut(wanted.time)))
}

/// The server as a client names it.
fn host_line(host: &str, port: u16) -> String {
    match (host.contains(':'), port) {
        (true, port) => format!("[{host}]:{port}"),
        (false, PORT) => host.into(),
        (false, port) => format!("{host}:{port}"),
    }
}

/// Connects to the first address of a name that accepts. Each has its own time, so that one that
/// is silent takes none from the others.
async fn connect<I: Tcp + Resolve>(
    ip: &I,
    name: &str,
    port: u16,
    patience: Duration,
) -> Result<I::Stream, ip::Error> {
    let mut last = ip::Error::NoSuchName;
    let found = timeout(patience, ip.resolve(name)).await.unwrap_or(Err(ip::Error::TimedOut));
    for addr in found? {
        match timeout(patience, ip.connect(SocketAddr::new(addr, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = ip::Error::TimedOut,
        }
    }
    Err(last)
}

/// A stream on which nothing takes longer than a time.
#[derive(Debug)]
struct Patient<S>(S, Duration);

impl<S: ErrorType> ErrorType for Patient<S> {
    type Error = S::Error;
}

impl<S: Read<Error = ip::Error>> Read for Patient<S> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, ip::Error> {
        timeout(self.1, self.0.read(to)).await.unwrap_or(Err(ip::Error::TimedOut))
    }
}

impl<S: Write<Error = ip::Error>> Write for Patient<S> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, ip::Error> {
        timeout(self.1, self.0.write(from)).await.unwrap_or(Err(ip::Error::TimedOut))
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        timeout(self.1, self.0.flush()).await.unwrap_or(Err(ip::Error::TimedOut))
    }
}

/// Reads what is `wanted` of the repository at `path` by git's own protocol, over a connection with
/// the server that is named `server`; nothing if the name stands for what is `known`, which becomes
/// what it stands for.
///
/// # Errors
/// [`Error`].
pub async fn talk<S: Read + Write>(
    stream: &mut S,
    server: &str,
    path: &str,
    wanted: &Wanted,
    known: &mut Option<Id>,
) -> Result<Option<Snapshot>, Error<S::Error>> {
    let candidates = protocol::candidates(&wanted.name);
    let mut hello = Vec::new();
    put(&mut hello, format!("git-upload-pack {path}\0host={server}\0\0version=2\0").as_bytes());
    let mut packets = Packets::new(stream);
    say(&mut packets, &hello).await?;
    let offer = protocol::offer(&mut packets).await?;
    say(&mut packets, &protocol::list(offer, &candidates)).await?;
    let id = protocol::listed(&mut packets, &candidates).await?;
    if known.replace(id) == Some(id) {
        // Nothing depends on whether the server hears that nobody asks any more.
        let _ = say(&mut packets, FLUSH).await;
        return Ok(None);
    }
    say(&mut packets, &protocol::fetch(offer, id)).await?;
    let mut packets = packets.of_pack(wanted.limits.wire());
    let objects = protocol::fetched(&mut packets, wanted.limits).await?;
    let _ = say(&mut packets, FLUSH).await;
    Ok(Some(Snapshot::new(id, objects, wanted.limits).await?))
}

async fn say<S: Write>(packets: &mut Packets<&mut S>, text: &[u8]) -> Result<(), Error<S::Error>> {
    packets.stream.write_all(text).await.map_err(Error::Stream)?;
    packets.stream.flush().await.map_err(Error::Stream)
}

/// Reads what is wanted over HTTP: an exchange for each question. Redirects are followed for the
/// first one alone, as git does.
async fn exchange<I: Tcp + Resolve>(
    ip: &I,
    limits: client::Limits,
    url: &str,
    wanted: &Wanted,
    known: &mut Option<Id>,
) -> Result<Option<Snapshot>, Failure> {
    const SERVICE: &str = "/info/refs?service=git-upload-pack";
    let candidates = protocol::candidates(&wanted.name);
    let first = format!("{url}{SERVICE}");
    let fields = [VERSION];
    let request = Request { fields: &fields, ..Request::get(&first) };
    let take = async |at: &Url, answer: Response<'_>, content: &mut Content<'_>| {
        let at = at.to_string();
        let good = is_git(&answer, b"application/x-git-upload-pack-advertisement");
        Ok(match good {
            Ok(()) => protocol::offer(&mut Packets::new(content))
                .await
                .map(|offer| (at, offer))
                .map_err(Failure::Http),
            Err(failure) => Err(failure),
        })
    };
    let mut client = Client::new(ip, limits);
    let result = client.fetch(&request, take).await;
    // No other question goes over its connection, as POST does not go over one that has waited.
    client.close().await;
    let (at, offer) = result??;
    // Whoever redirects the first question means the others as well.
    let asked = Url::parse(&first).map(|it| it.to_string());
    let base = match at.strip_suffix(SERVICE) {
        _ if asked.is_ok_and(|asked| asked == at) => url.into(),
        Some(base) => with_user(url, base),
        None => return Err(Failure::NotGit),
    };
    let url = format!("{base}/git-upload-pack");
    let limits = client::Limits { redirects: 0, ..limits };
    let list = protocol::list(offer, &candidates);
    let id = post(ip, limits, &url, &list, async |content| {
        protocol::listed(&mut Packets::new(content), &candidates).await
    });
    let id = id.await?;
    if known.replace(id) == Some(id) {
        return Ok(None);
    }
    let fetch = protocol::fetch(offer, id);
    let objects = post(ip, limits, &url, &fetch, async |content| {
        let mut packets = Packets::new(content).of_pack(wanted.limits.wire());
        protocol::fetched(&mut packets, wanted.limits).await
    });
    let objects = objects.await?;
    let snapshot = Snapshot::new(id, objects, wanted.limits).await;
    snapshot.map(Some).map_err(|flaw| Failure::Http(flaw.into()))
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

/// Sends a question and has the answer read.
async fn post<I: Tcp + Resolve, T>(
    ip: &I,
    limits: client::Limits,
    url: &str,
    body: &[u8],
    read: impl AsyncFnOnce(&mut Content<'_>) -> Result<T, Error<client::Error>>,
) -> Result<T, Failure> {
    let fields = [
        VERSION,
        ("Content-Type", "application/x-git-upload-pack-request"),
        ("Accept", "application/x-git-upload-pack-result"),
    ];
    let request = Request { method: "POST", url, fields: &fields, body, decode: true };
    let take = async |_: &Url, answer: Response<'_>, content: &mut Content<'_>| {
        Ok(match is_git(&answer, b"application/x-git-upload-pack-result") {
            Ok(()) => read(content).await.map_err(Failure::Http),
            Err(failure) => Err(failure),
        })
    };
    let mut client = Client::new(ip, limits);
    let result = client.fetch(&request, take).await;
    client.close().await;
    result?
}

/// Whether an answer is one of git's, of this type.
fn is_git(answer: &Response<'_>, kind: &[u8]) -> Result<(), Failure> {
    if answer.is_failure() || answer.status().0 >= 300 {
        return Err(Failure::Status(answer.status()));
    }
    let said = answer.field("Content-Type").unwrap_or_default();
    if said.trim_ascii() == kind { Ok(()) } else { Err(Failure::NotGit) }
}

/// A place as it is told to people.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git { host, port, path } => {
                write!(f, "git://{}{}", host_line(host, *port), Escaped(path.as_bytes()))
            }
            // Without the password that may be in it.
            Self::Http(url) => match Url::parse(url) {
                Ok(url) => url.fmt(f),
                Err(error) => error.fmt(f),
            },
        }
    }
}
