//! Forms: `application/x-www-form-urlencoded`, in bodies and queries (WHATWG URL, section 5).

use alloc::borrow::Cow;

/// What a browser says a form is, unless it holds files.
pub const TYPE: &str = "application/x-www-form-urlencoded";

/// Iterates over the names and values in the text of a form, or in a
/// [query](super::Request::query), decoded, in their order.
///
/// What is no UTF-8 is replaced (U+FFFD), and there may be several of a name. Names and
/// values that had to be decoded are allocated: they are no longer than they came.
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
