//! Requests to a CA: signed, with a nonce each, and answers of bounded size.

use crate::error::{Error, Problem};
use crate::jose::Account;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use embedded_io_async::Read;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use xenith::http::client::{self, Client, Limits, Request, Response};
use xenith::http::{self, Status, json};
use xenith::ip::{Resolve, Tcp};

/// What a CA may take of memory and time with each answer.
const LIMITS: Limits = Limits {
    redirects: 0,
    downgrade: false,
    head: 16 << 10,
    body: 64 << 10,
    connect: Duration::from_secs(15),
    response: Duration::from_secs(30),
    total: Duration::from_secs(90),
};

/// How often a nonce may be refused (RFC 8555, section 6.5).
const NONCES: u32 = 4;

/// The longest time for which a CA may ask to be left alone.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// Bytes of a nonce or a URL at most.
const LINE: usize = 2048;

/// Where a CA has what (RFC 8555, section 7.1.1).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Directory {
    pub(crate) new_nonce: String,
    pub(crate) new_account: String,
    pub(crate) new_order: String,
    #[serde(default)]
    pub(crate) meta: Meta,
}

/// What it says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) terms_of_service: Option<String>,
    pub(crate) external_account_required: bool,
}

/// What a CA answers.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where it is from.
    url: String,
    status: Status,
    /// Where what was made is.
    pub(crate) location: Option<String>,
    /// After how long it is to be asked again.
    pub(crate) later: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads it as JSON.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::parse(&self.body).map_err(|why| Error::Answer(self.url.clone(), why.to_string()))
    }

    /// Says that something is not in it.
    pub(crate) fn lacks(&self, what: &str) -> Error {
        Error::Answer(self.url.clone(), format!("there is no {what}"))
    }

    /// The problem in it, if it is one: of its status alone where it says no more.
    fn refused(self) -> Result<Self, Error> {
        if (200..300).contains(&self.status.0) {
            return Ok(self);
        }
        let problem = json::parse::<Problem>(&self.body).unwrap_or_default();
        let Self { url, status, later, .. } = self;
        Err(Error::Refused { url, status: status.0, problem, later })
    }
}

/// A conversation with a CA.
pub(crate) struct Session<'a, N: Tcp> {
    client: Client<'a, N>,
    pub(crate) directory: Directory,
    pub(crate) account: Account,
    /// A nonce that was not used.
    nonce: Option<String>,
}

impl<'a, N: Tcp + Resolve> Session<'a, N> {
    /// Reads the CA's directory.
    pub(crate) async fn open(net: &'a N, url: &str, account: Account) -> Result<Self, Error> {
        let mut client = Client::new(net, LIMITS);
        let (answer, nonce) = send(&mut client, "GET", url, &[], b"").await?;
        let directory = answer.refused()?.parse()?;
        Ok(Self { client, directory, account, nonce })
    }

    /// Sends `payload` to `url`, or asks for what is there if it is empty (POST-as-GET).
    pub(crate) async fn post(&mut self, url: &str, payload: &str) -> Result<Answer, Error> {
        for _ in 0..NONCES {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => self.fresh().await?,
            };
            let body = self.account.sign(&nonce, url, payload)?;
            let fields = [
                ("Content-Type", "application/jose+json"),
                ("Accept", "application/pem-certificate-chain, application/json"),
            ];
            let (answer, next) =
                send(&mut self.client, "POST", url, &fields, body.as_bytes()).await?;
            self.nonce = next;
            match answer.refused() {
                Err(Error::Refused { problem, .. }) if problem.is("badNonce") => {}
                done => return done,
            }
        }
        Err(Error::Nonces)
    }

    /// Asks for a nonce (RFC 8555, section 7.2).
    async fn fresh(&mut self) -> Result<String, Error> {
        let url = self.directory.new_nonce.clone();
        let (answer, nonce) = send(&mut self.client, "HEAD", &url, &[], b"").await?;
        nonce.ok_or_else(|| answer.lacks("Replay-Nonce"))
    }

    /// Ends it.
    pub(crate) async fn close(mut self) {
        self.client.close().await;
    }
}

/// Sends a request, and reads the answer and the nonce with it.
async fn send<N: Tcp + Resolve>(
    client: &mut Client<'_, N>,
    method: &str,
    url: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Result<(Answer, Option<String>), Error> {
    // What comes from the CA as well: RFC 8555, section 6.1.
    let is_secure = url.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case("https://"));
    if !is_secure || url.len() > LINE {
        return Err(Error::Plain(url.into()));
    }
    let request = Request { method, url, fields, body, decode: true };
    let fetched = client.fetch(&request, async |_, response, content| {
        let mut body = Vec::new();
        let mut piece = [0; 512];
        loop {
            match content.read(&mut piece).await? {
                0 => break,
                count => {
                    body.try_reserve(count).map_err(|_| client::Error::Memory)?;
                    body.extend_from_slice(piece.get(..count).unwrap_or_default());
                }
            }
        }
        let status = response.status();
        let location = text(&response, "Location");
        let later = response.field("Retry-After").and_then(after);
        let answer = Answer { url: url.into(), status, location, later, body };
        Ok((answer, text(&response, "Replay-Nonce").filter(|it| is_base64url(it))))
    });
    fetched.await.map_err(Error::Http)
}

/// A field of an answer, if it is text of a sensible length.
fn text(response: &Response<'_>, name: &str) -> Option<String> {
    let value = response.field(name)?;
    core::str::from_utf8(value).ok().filter(|it| it.len() <= LINE).map(Into::into)
}

/// Returns whether all of a text is of base64url, and there is one.
pub(crate) fn is_base64url(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.bytes().all(is)
}

/// Reads the value of `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn after(value: &[u8]) -> Option<Duration> {
    let now = xenith::time::wall_clock().as_secs();
    let seconds = match core::str::from_utf8(value).ok()?.parse() {
        Ok(seconds) => seconds,
        Err(_) => http::parse_date(value, now)?.saturating_sub(now),
    };
    Some(Duration::from_secs(seconds).min(LONGEST))
}
