//! What the arguments ask for, once they are read.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use xenith::http::Url;
use xenith::text::Escaped;
use xenith::time::wall_clock;

/// Bytes of the directory's URL at most: it is part of names on the disk.
const LONGEST: usize = 200;

/// Names of a certificate at most, which is what CAs allow.
const NAMES: usize = 100;

/// Says which argument cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// There is no name.
    NoDomain,
    /// This is no name, for that reason.
    Domain(&'static str, &'static str),
    /// There are more than a hundred.
    TooMany,
    /// This is no URL of a directory.
    Directory(&'static str),
    /// This is not what consent looks like.
    Terms(&'static str),
    /// This is no address of mail.
    Contact(&'static str),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &'static str| Escaped(text.as_bytes());
        match *self {
            Self::NoDomain => f.write_str("domain= says which name the certificate is for"),
            Self::Domain(name, why) => write!(f, "domain={}: {why}", shown(name)),
            Self::TooMany => write!(f, "a certificate is for {NAMES} names at most"),
            Self::Directory(url) => write!(
                f,
                "directory={}: it is a URL that begins with https:// and has up to {LONGEST} bytes",
                shown(url)
            ),
            Self::Terms(word) => {
                write!(f, "terms={}: write terms=agree, or leave it out", shown(word))
            }
            Self::Contact(text) => {
                write!(f, "contact={}: it is an address such as admin@example.org", shown(text))
            }
        }
    }
}

impl core::error::Error for Misuse {}

/// What is asked of the CA.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) domains: Vec<String>,
    pub(crate) directory: String,
    pub(crate) agreed: bool,
    /// URLs.
    pub(crate) contact: Vec<String>,
    pub(crate) renew: Option<Duration>,
    /// What says the time since 1970: a parameter for tests, whose time is simulated.
    pub(crate) clock: fn() -> Duration,
}

impl Config {
    /// The time in seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        (self.clock)().as_secs()
    }

    /// Says what is asked of the CA, to tell it from what was asked before.
    pub(crate) fn asked(&self) -> String {
        format!("{} {} {}", self.domains.join(" "), self.agreed, self.contact.join(" "))
    }

    pub(crate) fn new(
        domains: &[&'static str],
        directory: &'static str,
        terms: Option<&'static str>,
        contact: &[&'static str],
        renew: Option<Duration>,
    ) -> Result<Self, Misuse> {
        let mut names = Vec::new();
        for &name in domains {
            let name = domain(name).map_err(|why| Misuse::Domain(name, why))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(Misuse::NoDomain);
        }
        if names.len() > NAMES {
            return Err(Misuse::TooMany);
        }
        let is_secure = Url::parse(directory).is_ok_and(|url| url.is_secure());
        if !is_secure || directory.len() > LONGEST {
            return Err(Misuse::Directory(directory));
        }
        let agreed = match terms {
            None => false,
            Some("agree") => true,
            Some(word) => return Err(Misuse::Terms(word)),
        };
        let contact: Result<_, _> = contact.iter().map(|&text| mail(text)).collect();
        let (directory, contact) = (directory.into(), contact?);
        Ok(Self { domains: names, directory, agreed, contact, renew, clock: wall_clock })
    }
}

/// Reads a name of DNS, in small letters, as CAs compare it.
fn domain(name: &str) -> Result<String, &'static str> {
    if name.starts_with("*.") {
        return Err("a wildcard is proved by dns-01, which is not supported: name each host");
    }
    if name.parse::<IpAddr>().is_ok() {
        return Err("it is an address and not a name");
    }
    let is_label = |label: &str| {
        let is = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let edge = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && label.bytes().all(is) && !edge
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("a name is made of letters, digits and - between dots; others are written as \
                    xn--");
    }
    Ok(name.to_ascii_lowercase())
}

/// Makes a URL of an address of mail.
fn mail(text: &'static str) -> Result<String, Misuse> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'?' | b'%');
    let whole = address.split_once('@').is_some_and(|(who, at)| !who.is_empty() && !at.is_empty());
    if whole && address.bytes().all(is) {
        Ok(format!("mailto:{address}"))
    } else {
        Err(Misuse::Contact(text))
    }
}
