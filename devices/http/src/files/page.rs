//! The pages that are not on the disk: a folder's list, and why there is nothing else.

use super::path::{Encoded, Path};
use crate::Status;
use core::fmt;
use storage::fs::{Kind, Metadata};

/// The type of these pages.
pub(super) const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

/// Text in HTML.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for part in chunk.valid().split_inclusive(['<', '>', '&', '"', '\'']) {
                let end = part.len() - usize::from(part.ends_with(['<', '>', '&', '"', '\'']));
                let (text, mark) = part.split_at(end);
                f.write_str(text)?;
                f.write_str(match mark {
                    "<" => "&lt;",
                    ">" => "&gt;",
                    "&" => "&amp;",
                    "\"" => "&quot;",
                    "'" => "&#39;",
                    _ => "",
                })?;
            }
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

/// The beginning of a page. Browsers ask for no icon where the page names one, and choose
/// dark colours by themselves where they may.
struct Begin<T>(T);

impl<T: fmt::Display> fmt::Display for Begin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(title) = self;
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n\
             <style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
             padding:0 1rem}}td{{overflow-wrap:anywhere}}td+td{{text-align:right;\
             padding-left:2rem;white-space:nowrap}}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        )
    }
}

/// A page that says why there is nothing else.
pub(super) struct Why<'a>(pub Status, pub &'a str);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(status, reason) = self;
        let title = Begin(format_args!("{} {}", status.0, status.phrase()));
        write!(f, "{title}<p>{reason}</p>\n</body>\n</html>\n")
    }
}

/// The beginning of the list of a folder: where its tree is mounted, and its path in that.
pub(super) struct Head<'a>(pub &'a str, pub &'a Path);

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(mount, path) = self;
        let title = format_args!("{}{}/", Escaped(mount.as_bytes()), Escaped(path.bytes()));
        let title = Begin(title);
        let up = "<tr><td><a href=\"../\">../</a><td><td>\n";
        write!(f, "{title}<table>\n{}", if path.is_root() { "" } else { up })
    }
}

/// A line in the list of a folder.
pub(super) struct Line<'a>(pub &'a [u8], pub Metadata);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, metadata) = self;
        let slash = if metadata.kind == Kind::Folder { "/" } else { "" };
        let date = crate::date(metadata.modified);
        // `06 Nov 1994 08:49` of `Sun, 06 Nov 1994 08:49:37 GMT`.
        let date = date.get(5..22).filter(|_| metadata.modified > 0);
        let date = date.and_then(|date| core::str::from_utf8(date).ok()).unwrap_or_default();
        // Without the dot, a colon in the name would make a scheme of what is before it.
        let (link, text) = (Encoded(name), Escaped(name));
        write!(f, "<tr><td><a href=\"./{link}{slash}\">{text}{slash}</a><td>{date}<td>")?;
        match metadata.kind {
            Kind::File => writeln!(f, "{}", metadata.size),
            _ => f.write_str("\n"),
        }
    }
}

/// The end of the list of a folder.
pub(super) const TAIL: &str = "</table>\n</body>\n</html>\n";

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    const FILE: Metadata = Metadata { kind: Kind::File, size: 7, modified: 784_111_777, id: 1 };

    #[test]
    fn names_are_only_text() {
        for (name, expected) in [
            (&b"a b.txt"[..], "./a%20b.txt\">a b.txt<"),
            (b"<b>\"'&", "./%3Cb%3E%22%27%26\">&lt;b&gt;&quot;&#39;&amp;<"),
            (b"a?b#c%20", "./a%3Fb%23c%2520\">a?b#c%20<"),
            (b"javascript:x", "./javascript%3Ax\">javascript:x<"),
            (b"\xff\n", "./%FF%0A\">\u{fffd}\n<"),
            ("\u{e9}".as_bytes(), "./%C3%A9\">\u{e9}<"),
        ] {
            let text = Line(name, FILE).to_string();
            assert!(text.contains(&format!("<a href=\"{expected}/a>")), "{text}");
        }
        let path = Path::parse("/%3Cscript%3E/").unwrap();
        let page = Head("/a", &path).to_string();
        assert!(
            page.contains("<h1>/a/&lt;script&gt;/</h1>") && !page.contains("<script>"),
            "{page}"
        );
        assert!(page.contains("href=\"../\""));
    }

    #[test]
    fn lines_say_when_and_how_much() {
        let text = Line(b"x", FILE).to_string();
        assert!(text.ends_with("</a><td>06 Nov 1994 08:49<td>7\n"), "{text}");
        let folder = Metadata { kind: Kind::Folder, size: 0, modified: 0, id: 2 };
        assert!(Line(b"x", folder).to_string().ends_with("./x/\">x/</a><td><td>\n"));
    }
}
