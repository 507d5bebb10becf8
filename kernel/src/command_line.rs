//! The command line of a domain as bytes: how long it may be, and what separates its items.

use core::fmt;

/// The number of arguments that one start may have.
pub const MAX: usize = 32;

/// How many bytes a domain's command line may have: one less than its field holds beside
/// the 0 at the end, as one that fills it may have been cut by who wrote it there.
pub const MOST: usize = 1022;

/// Says why a command line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// It fills the field that it is passed in, so its end may be missing.
    Cut,
    /// A quote was opened and not closed, or a backslash stands at the end.
    Unfinished,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => {
                "the arguments have more than 1022 bytes, the most that a domain can be given"
            }
            Self::Unfinished => "the arguments end inside a quotation or after a backslash",
        })
    }
}

impl core::error::Error for Unreadable {}

/// Splits a command line into its items, in place.
///
/// # Errors
/// [`Unreadable::Unfinished`] at a quote without an end or a backslash at the end.
pub fn split(line: &'static mut [u8]) -> Result<impl Iterator<Item = &'static [u8]>, Unreadable> {
    // First pass: quotes and backslashes go, and 0, which cannot stand in a
    // command line, takes the place of the white space that separates.
    let (mut quoted, mut escaped, mut end) = (false, false, 0);
    for at in 0..line.len() {
        let byte = line[at];
        let kept = match byte {
            _ if escaped => {
                escaped = false;
                byte
            }
            b'\\' => {
                escaped = true;
                continue;
            }
            b'"' => {
                quoted = !quoted;
                continue;
            }
            b' ' | b'\t' | b'\n' if !quoted => 0,
            _ => byte,
        };
        line[end] = kept;
        end += 1;
    }
    if quoted || escaped {
        return Err(Unreadable::Unfinished);
    }
    let (line, _) = line.split_at(end);
    Ok(line.split(|&byte| byte == 0).filter(|item| !item.is_empty()))
}
