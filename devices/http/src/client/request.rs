//! What a client asks for.

use super::Error;
use crate::syntax::is_token;
use crate::{Status, Url};
use alloc::string::String;
use base64ct::{Base64, Encoding};
use core::fmt::Write as _;

/// Fields that tell a server who asks, and no other one.
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Describes a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, such as `GET`; not `CONNECT`.
    pub method: &'a str,
    /// The URL. A user and a password in it become the field `Authorization` (RFC 7617).
    pub url: &'a str,
    /// Names and values of fields. One whose name the client would send itself (`Host`,
    /// `User-Agent`, `Accept` and the like) replaces that, and one without a value is not sent.
    pub fields: &'a [(&'a str, &'a str)],
    /// The body, of the type `application/x-www-form-urlencoded` unless a field says otherwise.
    pub body: &'a [u8],
    /// Whether the server may send gzip, and content is decoded; otherwise it is given as it
    /// comes.
    pub decode: bool,
}

impl<'a> Request<'a> {
    /// Makes a GET request for the page at `url`.
    #[must_use]
    pub const fn get(url: &'a str) -> Self {
        Self { method: "GET", url, fields: &[], body: b"", decode: true }
    }
}

/// A request on its way, which redirects change.
pub(super) struct Sending<'a> {
    request: &'a Request<'a>,
    /// It became GET.
    plain: bool,
    /// It goes to the server that it was meant for.
    home: bool,
    authorization: Option<String>,
}

impl<'a> Sending<'a> {
    /// Looks whether `request` can be sent.
    pub(super) fn new(request: &'a Request<'a>, url: &Url) -> Result<Self, Error> {
        let refuse = |why| Err(Error::Request(why));
        if !is_token(request.method.as_bytes()) || request.method == "CONNECT" {
            return refuse("the method is not a token, or is CONNECT");
        }
        if request.method == "TRACE" && !request.body.is_empty() {
            return refuse("a request with the method TRACE has no body");
        }
        for (name, value) in request.fields {
            if !is_token(name.as_bytes()) {
                return refuse("the name of a field is not a token");
            }
            if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return refuse("a field's value holds a control character");
            }
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("content-length") || is("transfer-encoding") {
                return refuse("the client itself says how long the body is");
            }
        }
        let authorization = url.user().map(|user| {
            let mut field = String::from("Basic ");
            field.push_str(&Base64::encode_string(&user));
            field
        });
        Ok(Self { request, plain: false, home: true, authorization })
    }

    /// What it becomes by a redirect of this status (RFC 9110, section 15.4), to the same
    /// server or to another one.
    pub(super) fn redirect(&mut self, status: Status, home: bool) {
        self.plain |= match (status.0, self.method()) {
            (303, method) => method != "HEAD",
            (301 | 302, method) => method == "POST",
            _ => false,
        };
        // Once it went elsewhere, who leads it back is not who was asked.
        self.home &= home;
    }

    /// The method that it has now.
    fn method(&self) -> &'a str {
        if self.plain { "GET" } else { self.request.method }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method() == "HEAD"
    }

    /// Whether it may be sent twice (RFC 9110, section 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(self.method(), "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
    }

    pub(super) const fn body(&self) -> &'a [u8] {
        if self.plain { b"" } else { self.request.body }
    }

    /// Whether a field of the caller's is sent: not to others than it is meant for, nor
    /// about a body that does not come.
    fn is_sent(&self, name: &str) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let secret = is("host") || SECRET.iter().any(|&field| is(field));
        let of_body = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
        !(secret && !self.home || of_body && self.plain)
    }

    /// The head, as it is sent to the server of `url`.
    pub(super) fn head(&self, url: &Url) -> String {
        let method = self.method();
        let mut head = String::new();
        let target = url.target();
        let target = match method {
            // The server as a whole is meant (RFC 9112, section 3.2.4).
            "OPTIONS" if target.is_empty() => "*",
            _ => target,
        };
        let slash = if url.has_path() || target == "*" { "" } else { "/" };
        // Writing to a string does not fail.
        let _ = write!(head, "{method} {slash}{target} HTTP/1.1\r\n");
        let given = self.request.fields.iter().filter(|(name, _)| self.is_sent(name));
        let mut say = |name: &str, value: &str| {
            if !given.clone().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        };
        say("Host", url.authority());
        say("User-Agent", "Xenith");
        say("Accept", "*/*");
        if self.request.decode {
            say("Accept-Encoding", "gzip");
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.home) {
            say("Authorization", authorization);
        }
        let body = self.body();
        if !body.is_empty() {
            say("Content-Type", "application/x-www-form-urlencoded");
        }
        for (name, value) in given.filter(|(_, value)| !value.is_empty()) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        // Servers expect it where a body is to be expected (RFC 9110, section 8.6).
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        head
    }
}
