//! Forms: `application/x-www-form-urlencoded`, in bodies and queries (WHATWG URL, section 5).

use super::{Collected, Error, Exchange};
use alloc::borrow::Cow;

/// The media type of a form, unless it holds files.
pub const TYPE: &str = "application/x-www-form-urlencoded";

/// Iterates over the names and values in the text of a form, or in a
/// [query](super::Request::query), decoded, in their order.
///
/// Bytes that are not UTF-8 become U+FFFD, and a name may come several times. Names and values
/// that had to be decoded are allocated; they are at most three times as long as they came.
///
/// ```
/// let pairs: Vec<_> = xenith_http::form::pairs("q=a+b%26c&page=2").collect();
/// assert_eq!(pairs[0], ("q".into(), "a b&c".into()));
/// assert_eq!(pairs[1], ("page".into(), "2".into()));
/// ```
pub fn pairs(
    text: &(impl AsRef<[u8]> + ?Sized),
) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(text.as_ref())
}

/// Holds the form in the body of a request.
#[derive(Debug)]
pub struct Form<'a>(Collected<'a>);

impl Form<'_> {
    /// Iterates over its names and values, as [`pairs`] does.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        pairs(&*self.0)
    }

    /// Returns the first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.pairs().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

/// Reads the body of a request as a form, of at most `limit` bytes.
///
/// Returns `None` if the request was refused instead: with 415 for another type than [`TYPE`],
/// with 413 for a longer body.
///
/// ```
/// # use xenith_http::{Error, Exchange, Status, form};
/// async fn sign(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     let Some(form) = form::read(exchange, 4096).await? else { return Ok(()) };
///     let name = form.get("name").unwrap_or_default();
///     exchange.respond(Status::OK, &[("Content-Type", "text/plain")], name.as_bytes()).await
/// }
/// ```
///
/// # Errors
/// Those of the connection, and of [`Body::collect`](super::Body::collect) where there is no
/// memory.
pub async fn read<'a>(
    exchange: &mut Exchange<'a>,
    limit: usize,
) -> Result<Option<Form<'a>>, Error> {
    Ok(exchange.collect_as(TYPE, limit).await?.map(Form))
}
