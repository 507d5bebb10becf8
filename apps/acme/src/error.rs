//! Why there is no certificate, and what a CA says of it.

use crate::certificate::Flaw;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use fetchs::trust;
use serde::Deserialize;
use xenith::http::client::Failure;
use xenith::kv;
use xenith::text::Escaped;

/// Characters of what a CA says that are shown.
const SHOWN: usize = 400;

/// The most that a CA's reasons are shown of.
const REASONS: usize = 8;

/// What every type of RFC 8555 begins with.
const TYPES: &str = "urn:ietf:params:acme:error:";

/// A problem document (RFC 7807).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// What sort of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is in this case.
    pub detail: String,
    /// The same for single names.
    pub subproblems: Vec<Subproblem>,
}

/// What is wrong with a name (RFC 8555, section 6.7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Subproblem {
    /// What sort of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is in this case.
    pub detail: String,
    /// The name.
    pub identifier: Identifier,
}

/// A name that a certificate is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Identifier {
    /// The name.
    pub value: String,
}

impl Problem {
    /// Returns whether it is of this type of RFC 8555, section 6.7.
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix(TYPES) == Some(kind)
    }
}

/// Text of a peer's: its beginning, without control characters.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(SHOWN).map_or(self.0.len(), |(at, _)| at);
        let shown = self.0.get(..end).unwrap_or_default();
        let dots = if end < self.0.len() { "..." } else { "" };
        write!(f, "{}{dots}", Escaped(shown.as_bytes()))
    }
}

/// The two parts of a problem.
fn told(f: &mut fmt::Formatter<'_>, kind: &str, detail: &str) -> fmt::Result {
    let kind = if kind.is_empty() { "about:blank" } else { kind };
    write!(f, "{}", Shown(kind.strip_prefix(TYPES).unwrap_or(kind)))?;
    if detail.is_empty() { Ok(()) } else { write!(f, ": {}", Shown(detail)) }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        told(f, &self.kind, &self.detail)?;
        for of in self.subproblems.iter().take(REASONS) {
            write!(f, "; {}: ", Shown(&of.identifier.value))?;
            told(f, &of.kind, &of.detail)?;
        }
        Ok(())
    }
}

/// Says why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The CA was not reached, or what it says is not HTTP.
    Http(Failure),
    /// The CA answers a request to this URL by a problem.
    Refused {
        /// The URL.
        url: String,
        /// The status of the answer.
        status: u16,
        /// The problem.
        problem: Problem,
        /// After how long it may be asked again, if it says so.
        later: Option<Duration>,
    },
    /// What is at this URL is not what RFC 8555 says.
    Answer(String, String),
    /// This is no URL of HTTPS.
    Plain(String),
    /// The CA has terms, here, and nobody has agreed to them.
    Terms(String),
    /// The CA knows no accounts but those made elsewhere (external account binding).
    External,
    /// The CA does not offer http-01 for this name.
    NoChallenge(String),
    /// The CA did not find the proof for this name.
    Unproven(String, Problem),
    /// The CA gives the order up.
    Order(Problem),
    /// The CA refuses one nonce of its own after the other.
    Nonces,
    /// It takes too long: the CA says this again and again.
    Slow(&'static str),
    /// What came is no certificate to be used.
    Certificate(Flaw),
    /// A key cannot be read or used.
    Key,
    /// The disk with the keys.
    Store(kv::Error),
    /// Whom to trust cannot be read.
    Roots(trust::Error),
    /// There is no randomness for keys.
    Entropy,
    /// There is no memory.
    Memory,
}

impl Error {
    /// Returns whether the CA was asked, and has answered: so asking again costs it more than
    /// that of another machine would.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        !matches!(self, Self::Http(_) | Self::Store(_) | Self::Entropy | Self::Memory)
    }

    /// Returns whether it says nothing of what was asked for, so that an order may go on.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Http(_) | Self::Slow(_) | Self::Nonces | Self::Store(_) | Self::Memory => true,
            Self::Refused { status, .. } => matches!(status, 429 | 500..),
            _ => false,
        }
    }

    /// Returns whether the CA asks for fewer requests.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Refused { status: 429, .. })
            || matches!(self, Self::Refused { problem, .. } if problem.is("rateLimited"))
    }

    /// Returns after how long the CA wants to be asked again.
    #[must_use]
    pub const fn later(&self) -> Option<Duration> {
        if let Self::Refused { later, .. } = self { *later } else { None }
    }
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(failure) => failure.fmt(f),
            Self::Refused { url, status, problem, .. } => {
                write!(f, "{}: the CA answers with {status}: {problem}", Shown(url))
            }
            Self::Answer(url, why) => {
                write!(f, "{}: the CA's answer is not understood: {}", Shown(url), Shown(why))
            }
            Self::Plain(url) => write!(f, "{} is no URL of HTTPS", Shown(url)),
            Self::Terms(url) => write!(
                f,
                "the CA asks for consent to its terms of service: read {}, and write terms=agree if \
                 you agree",
                Shown(url)
            ),
            Self::External => f.write_str(
                "the CA wants an account that was made elsewhere (external account binding), which is \
                 not supported",
            ),
            Self::NoChallenge(name) => {
                write!(f, "the CA does not offer the challenge http-01 for {}", Shown(name))
            }
            Self::Unproven(name, problem) => {
                write!(f, "the CA has not found the proof for {}: {problem}", Shown(name))
            }
            Self::Order(problem) => write!(f, "the CA gives the order up: {problem}"),
            Self::Nonces => f.write_str("the CA refuses each nonce that it gives"),
            Self::Slow(state) => write!(f, "the CA takes too long: it is still {state}"),
            Self::Certificate(flaw) => write!(f, "the certificate from the CA: {flaw}"),
            Self::Key => f.write_str("a private key cannot be used"),
            Self::Store(error) => write!(f, "the disk with the keys: {error}"),
            Self::Roots(error) => error.fmt(f),
            Self::Entropy => {
                f.write_str("there is no source of randomness: see the argument seed=")
            }
            Self::Memory => f.write_str("no memory is left"),
        }
    }
}

impl core::error::Error for Error {}
