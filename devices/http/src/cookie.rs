//! Cookies (RFC 6265): reading those of a request, and setting them.
//!
//! The `cookie` crate and its kin need the standard library.

use super::syntax::{self, is_token};
use super::{Error, Request, Status};
use alloc::string::String;
use core::fmt::{self, Write as _};
use core::time::Duration;

/// The most bytes that a cookie's name and value may have together: browsers drop a longer one
/// (RFC 6265bis, section 5.6).
pub const LONGEST: usize = 4096;

/// Iterates over the names and values of the cookies that a request brings, in the order of
/// the client, which has no meaning (RFC 6265, section 4.2.2).
///
/// A client may make them up, and send several of a name. What is not a pair is left out, and so
/// is a name or value that is not UTF-8; the quotes around a value are removed.
///
/// ```
/// # fn user<'a>(request: &xenith_http::Request<'a>) -> Option<&'a str> {
/// let mut all = xenith_http::cookie::cookies(request);
/// let (_, id) = all.find(|(name, _)| *name == "session")?;
/// # Some(id) }
/// ```
pub fn cookies<'a>(request: &Request<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    request.fields("Cookie").flat_map(pairs)
}

/// The pairs in the value of a field `Cookie`.
fn pairs(value: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    value.split(|&byte| byte == b';').filter_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair.get(..at)?.trim_ascii(), pair.get(at + 1..)?.trim_ascii());
        let inner = value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\""));
        let name = core::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
        Some((name, core::str::from_utf8(inner.unwrap_or(value)).ok()?))
    })
}

/// Tells with which requests from pages of other sites a browser sends a cookie (RFC 6265bis,
/// section 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// When the user follows a link.
    Lax,
    /// With all, which browsers grant to [secure](SetCookie::secure) cookies alone.
    None,
}

/// Says why a cookie cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is no token (RFC 9110, section 5.6.2).
    Name,
    /// The value has characters that no cookie may have: control characters, white space,
    /// `"`, `,`, `;`, `\` or what is not ASCII. Encode it, as in base64.
    Value,
    /// A path or domain has control characters or a `;`, or is empty.
    Attribute,
    /// The name and value are longer than [`LONGEST`].
    Long,
    /// The name begins with `__Host-` or `__Secure-`, or the cookie is for all sites, without
    /// what that asks for; browsers drop it.
    Prefix,
    /// There is no memory for it now.
    Memory,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the cookie's name is no token: use letters, digits, '-' and '_'",
            Self::Value => "the cookie's value has characters that none may have: encode it",
            Self::Attribute => "the cookie's path or domain is empty, or has ';' or controls",
            Self::Long => "the cookie has more than 4096 bytes: keep it here, and send a key of it",
            Self::Prefix => {
                "the cookie must be secure, and with __Host- have the path / and no domain"
            }
            Self::Memory => "there is no memory for the cookie now",
        })
    }
}

impl core::error::Error for CookieError {}

/// What a handler made of a request cannot be set: its fault, or that of memory.
impl From<CookieError> for Error {
    fn from(refused: CookieError) -> Self {
        Self::Request(match refused {
            CookieError::Memory => Status::UNAVAILABLE,
            _ => Status::INTERNAL,
        })
    }
}

/// Builds the value of a field `Set-Cookie` (RFC 6265, section 4.1).
///
/// Without [`max_age`](Self::max_age) it lasts until the browser ends.
///
/// ```
/// use core::time::Duration;
/// use xenith_http::cookie::{CookieError, SameSite, SetCookie};
///
/// let cookie = SetCookie::new("session", "c2VjcmV0")
///     .path("/")
///     .max_age(Duration::from_secs(3600))
///     .http_only()
///     .secure()
///     .same_site(SameSite::Lax)
///     .to_field()?;
/// let expected = "session=c2VjcmV0; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax";
/// assert_eq!(cookie, expected);
///
/// // What would set an attribute, or another field, is refused.
/// let evil = SetCookie::new("session", "x; Domain=evil.example\r\nX: y").to_field();
/// assert_eq!(evil, Err(CookieError::Value));
/// # Ok::<(), CookieError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it is set by the value of a field Set-Cookie"]
pub struct SetCookie<'a> {
    name: &'a str,
    value: &'a str,
    path: Option<&'a str>,
    domain: Option<&'a str>,
    age: Option<u64>,
    http_only: bool,
    secure: bool,
    same_site: Option<SameSite>,
}

impl<'a> SetCookie<'a> {
    /// Makes a cookie for this host and the folder of the request's path.
    pub const fn new(name: &'a str, value: &'a str) -> Self {
        Self {
            name,
            value,
            path: None,
            domain: None,
            age: None,
            http_only: false,
            secure: false,
            same_site: None,
        }
    }

    /// Makes a cookie that has the browser forget the one of this name, if path and domain are
    /// those with which it was set.
    pub const fn removed(name: &'a str) -> Self {
        Self { age: Some(0), ..Self::new(name, "") }
    }

    /// Sends it with requests for this path and what is below it.
    pub const fn path(self, path: &'a str) -> Self {
        Self { path: Some(path), ..self }
    }

    /// Sends it to all hosts of this domain as well.
    pub const fn domain(self, domain: &'a str) -> Self {
        Self { domain: Some(domain), ..self }
    }

    /// Keeps it for so long, in whole seconds.
    pub const fn max_age(self, age: Duration) -> Self {
        Self { age: Some(age.as_secs()), ..self }
    }

    /// Hides it from the scripts of pages.
    pub const fn http_only(self) -> Self {
        Self { http_only: true, ..self }
    }

    /// Sends it by HTTPS only.
    pub const fn secure(self) -> Self {
        Self { secure: true, ..self }
    }

    /// Says with which requests of other sites' pages it is sent. Without this, most browsers
    /// take [`Lax`](SameSite::Lax).
    pub const fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site: Some(same_site), ..self }
    }

    /// Returns the value of the field `Set-Cookie`. Each cookie of a response has a field of its
    /// own.
    ///
    /// # Errors
    /// [`CookieError`] for what a browser would drop, or take for something else.
    pub fn to_field(&self) -> Result<String, CookieError> {
        self.check()?;
        // Of the attributes without those that are the app's.
        const REST: usize = 96;
        let more = [self.path, self.domain].map(|it| it.map_or(0, str::len));
        let mut text = String::new();
        let most = self.name.len() + self.value.len() + more[0] + more[1] + REST;
        text.try_reserve_exact(most).map_err(|_| CookieError::Memory)?;
        // Nothing fails: there is room.
        let _ = self.print(&mut text);
        Ok(text)
    }

    fn print(&self, to: &mut String) -> fmt::Result {
        write!(to, "{}={}", self.name, self.value)?;
        for (name, value) in [("Path", self.path), ("Domain", self.domain)] {
            if let Some(value) = value {
                write!(to, "; {name}={value}")?;
            }
        }
        if let Some(age) = self.age {
            write!(to, "; Max-Age={age}")?;
        }
        if self.http_only {
            to.push_str("; HttpOnly");
        }
        if self.secure {
            to.push_str("; Secure");
        }
        to.push_str(match self.same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        });
        Ok(())
    }

    fn check(&self) -> Result<(), CookieError> {
        let is_octet = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        let is_attribute = |value: &str| {
            !value.is_empty() && syntax::is_value(value.as_bytes()) && !value.contains(';')
        };
        if !is_token(self.name.as_bytes()) {
            return Err(CookieError::Name);
        }
        if !self.value.bytes().all(is_octet) {
            return Err(CookieError::Value);
        }
        if ![self.path, self.domain].into_iter().flatten().all(is_attribute) {
            return Err(CookieError::Attribute);
        }
        if self.name.len() + self.value.len() > LONGEST {
            return Err(CookieError::Long);
        }
        let begins = |prefix: &str| {
            self.name.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix))
        };
        let host = begins("__Host-");
        let secure = host || begins("__Secure-") || self.same_site == Some(SameSite::None);
        let own = self.domain.is_none() && self.path == Some("/");
        if (secure && !self.secure) || (host && !own) {
            return Err(CookieError::Prefix);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    type Pairs = &'static [(&'static str, &'static str)];

    #[test]
    fn cookies_are_read_as_they_come() {
        let table: [(&[u8], Pairs); 14] = [
            (b"a=b", &[("a", "b")]),
            (
                b"SID=31d4d96e407aad42; lang=en-US",
                &[("SID", "31d4d96e407aad42"), ("lang", "en-US")],
            ),
            // Without the blank, and with more.
            (b"a=1;b=2;  c=3 ;", &[("a", "1"), ("b", "2"), ("c", "3")]),
            // Several of a name stay.
            (b"a=1; a=2", &[("a", "1"), ("a", "2")]),
            (b"a=", &[("a", "")]),
            (b"a=b=c", &[("a", "b=c")]),
            (b"a=\"b c\"", &[("a", "b c")]),
            (b"a=\"", &[("a", "\"")]),
            (b"a=\"b", &[("a", "\"b")]),
            // No pairs.
            (b"", &[]),
            (b";;; ;", &[]),
            (b"a; =b; c=d", &[("c", "d")]),
            (b"a=\xFF; b=\xC3\xA4", &[("b", "\u{e4}")]),
            (b"a=[1,2] {x}", &[("a", "[1,2] {x}")]),
        ];
        for (value, expected) in table {
            assert_eq!(pairs(value).collect::<Vec<_>>(), expected, "{value:?}");
        }
    }

    #[test]
    fn what_a_browser_would_take_for_something_else_is_refused() {
        let cookie = SetCookie::new("a", "b");
        for (cookie, expected) in [
            (cookie, Ok("a=b")),
            (SetCookie::new("a", ""), Ok("a=")),
            (SetCookie::removed("a").path("/"), Ok("a=; Path=/; Max-Age=0")),
            (cookie.domain("x.org").path("/y"), Ok("a=b; Path=/y; Domain=x.org")),
            (cookie.same_site(SameSite::Strict), Ok("a=b; SameSite=Strict")),
            (
                cookie.max_age(Duration::MAX).http_only().secure().same_site(SameSite::None),
                Ok("a=b; Max-Age=18446744073709551615; HttpOnly; Secure; SameSite=None"),
            ),
            (SetCookie::new("__Host-a", "b").secure().path("/"), Ok("__Host-a=b; Path=/; Secure")),
            (SetCookie::new("__Secure-a", "b").secure(), Ok("__Secure-a=b; Secure")),
            (SetCookie::new("", "b"), Err(CookieError::Name)),
            (SetCookie::new("a b", "b"), Err(CookieError::Name)),
            (SetCookie::new("a=", "b"), Err(CookieError::Name)),
            (SetCookie::new("a", "b;c"), Err(CookieError::Value)),
            (SetCookie::new("a", "b c"), Err(CookieError::Value)),
            (SetCookie::new("a", "b,c"), Err(CookieError::Value)),
            (SetCookie::new("a", "\"b\""), Err(CookieError::Value)),
            (SetCookie::new("a", "b\\"), Err(CookieError::Value)),
            (SetCookie::new("a", "b\r\nSet-Cookie: c=d"), Err(CookieError::Value)),
            (SetCookie::new("a", "\u{e4}"), Err(CookieError::Value)),
            (SetCookie::new("a", "\u{7f}"), Err(CookieError::Value)),
            (cookie.path(""), Err(CookieError::Attribute)),
            (cookie.path("/; HttpOnly"), Err(CookieError::Attribute)),
            (cookie.path("/\r\nX: y"), Err(CookieError::Attribute)),
            (cookie.domain("x\n"), Err(CookieError::Attribute)),
            (SetCookie::new("__Host-a", "b").secure(), Err(CookieError::Prefix)),
            (SetCookie::new("__host-a", "b").path("/"), Err(CookieError::Prefix)),
            (
                SetCookie::new("__Host-a", "b").secure().path("/").domain("x"),
                Err(CookieError::Prefix),
            ),
            (SetCookie::new("__Secure-a", "b"), Err(CookieError::Prefix)),
            (cookie.same_site(SameSite::None), Err(CookieError::Prefix)),
        ] {
            assert_eq!(cookie.to_field().as_deref(), expected.as_deref(), "{cookie:?}");
        }
        let long = "x".repeat(LONGEST);
        assert_eq!(SetCookie::new("a", &long).to_field(), Err(CookieError::Long));
        assert!(SetCookie::new("a", &long[1..]).to_field().is_ok());
    }

    #[test]
    fn the_room_for_a_cookie_is_enough() {
        let cookie = SetCookie::new("a", "b").path("/").domain("x").max_age(Duration::MAX);
        let cookie = cookie.http_only().secure().same_site(SameSite::Strict);
        let field = cookie.to_field().unwrap();
        assert!(field.len() <= 4 + 96, "{field}");
    }
}
