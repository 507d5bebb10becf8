//! Splits the command line of a domain.

use core::fmt;

/// Most arguments that a command line can have.
pub const MAX_ARGUMENTS: usize = 32;

/// Most bytes that a domain's command line can have. `start_info.cmd_line` has 1024 with the
/// final 0, and one that fills it is refused, as the domain builder may have truncated it.
pub const MAX_BYTES: usize = 1022;

/// Says why a command line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// It fills `start_info.cmd_line`, so its end may be missing.
    Cut,
    /// A quote is not closed, or the last character is a backslash.
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

/// Splits a command line at white space into items, in place. Double quotes keep white space,
/// and a backslash keeps the next character.
///
/// # Errors
/// [`Unreadable::Unfinished`] if a quote is not closed or the last character is a backslash.
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
