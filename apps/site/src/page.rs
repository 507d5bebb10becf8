//! Paths as they stand in requests, and the page that lists a folder.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use devices::kv::{Kind, Metadata};

/// Names that are listed; of more, the page says so.
const MOST: usize = 2000;

/// The bytes that a path with percent signs stands for (RFC 3986, section 2.1).
pub(crate) fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || (rest.next()? as char).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    Some(bytes)
}

fn encode(path: &[u8], to: &mut String) {
    for &byte in path {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                to.push(byte as char);
            }
            // Writing to a string does not fail, here and below.
            _ => drop(write!(to, "%{byte:02X}")),
        }
    }
}

fn escape(text: &str, to: &mut String) {
    for c in text.chars() {
        match c {
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '&' => to.push_str("&amp;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            c => to.push(c),
        }
    }
}

/// Where the folder `path` is. It begins with one slash: two would name a host.
pub(crate) fn location(path: &[u8]) -> String {
    let mut to = String::from("/");
    for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        encode(part, &mut to);
        to.push('/');
    }
    to
}

/// What is in a folder.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<(Vec<u8>, Metadata)>,
    left_out: usize,
}

impl Names {
    pub(crate) fn add(&mut self, name: &[u8], metadata: Metadata) {
        if metadata.kind == Kind::Other {
        } else if self.names.len() < MOST {
            self.names.push((name.to_vec(), metadata));
        } else {
            self.left_out += 1;
        }
    }

    /// The page for the folder that was asked for as `path`.
    pub(crate) fn page(mut self, path: &str) -> String {
        self.names.sort_by(|(a, _), (b, _)| a.cmp(b));
        let decoded = decoded(path).unwrap_or_default();
        let mut title = String::new();
        escape(&String::from_utf8_lossy(&decoded), &mut title);
        let mut page = String::from(
            "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>",
        );
        let _ = write!(
            page,
            "{title}</title>\n<style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:48rem;\
             margin:2rem auto;padding:0 1rem}}td+td{{text-align:right;padding-left:2rem}}</style>\n\
             <h1>{title}</h1>\n<table>\n"
        );
        if decoded.iter().any(|&byte| byte != b'/') {
            page.push_str("<tr><td><a href=\"../\">..</a><td>\n");
        }
        for (name, metadata) in &self.names {
            let slash = if metadata.kind == Kind::Folder { "/" } else { "" };
            page.push_str("<tr><td><a href=\"./");
            encode(name, &mut page);
            let _ = write!(page, "{slash}\">");
            escape(&String::from_utf8_lossy(name), &mut page);
            let _ = write!(page, "{slash}</a><td>");
            if metadata.kind == Kind::File {
                let _ = write!(page, "{}", metadata.size);
            }
            page.push('\n');
        }
        page.push_str("</table>\n");
        if self.left_out > 0 {
            let _ = writeln!(page, "<p>and {} more</p>", self.left_out);
        }
        page.push_str("</html>\n");
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_decoded() {
        assert_eq!(decoded("/a%20b%2f%00").unwrap(), b"/a b/\0");
        for path in ["%", "%1", "%gg", "%+1", "%\u{e9}"] {
            assert_eq!(decoded(path), None, "{path}");
        }
    }

    #[test]
    fn a_location_is_on_this_host() {
        assert_eq!(location(b"//evil.example/x"), "/evil.example/x/");
        assert_eq!(location(b"/a b\r\n"), "/a%20b%0D%0A/");
    }

    #[test]
    fn names_are_only_text() {
        let mut names = Names::default();
        let metadata = Metadata { kind: Kind::File, size: 7, modified: 0, id: 1 };
        names.add(b"<b>\"'&.txt", metadata);
        for _ in 0..MOST {
            names.add(b"x", metadata);
        }
        let page = names.page("/%3Cscript%3E/");
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(
            page.contains("<a href=\"./%3Cb%3E%22%27%26.txt\">&lt;b&gt;&quot;&#39;&amp;.txt</a>")
        );
        assert!(page.contains("and 1 more"));
    }
}
