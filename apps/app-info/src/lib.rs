//! Prints what an image knows about itself.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use embedded_io_async::Write;

/// The fields of `manifest`'s lines of one kind.
fn fields<'a>(manifest: &'a str, kind: &'a str) -> impl Iterator<Item = &'a str> {
    manifest.lines().filter_map(move |line| line.strip_prefix(kind)?.strip_prefix('\t'))
}

/// A few lines for people.
fn describe(manifest: &str) -> String {
    let first = |kind| fields(manifest, kind).next().unwrap_or("unknown");
    let mut text = format!("{} {}\n", first("name"), first("version"));
    for about in fields(manifest, "about") {
        text += &format!("{}\n", about.trim_start());
    }
    text += &format!("commit: {}\n", first("commit"));
    for device in fields(manifest, "device") {
        text += &format!("device: {}\n", device.trim_end().replace('\t', " "));
    }
    for package in fields(manifest, "crate") {
        text += &format!("crate: {}\n", package.replace('\t', " "));
    }
    text
}

/// Writes what `manifest` says to `console`.
///
/// # Errors
/// Those of the console.
pub async fn start<C: Write>(mut console: C) -> Result<(), C::Error> {
    console.write_all(describe(xenith::manifest::this()).as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn everything_is_named() {
        let manifest = "xenith\t1\nname\tdemo\nversion\t1.2.3\nmemory\t1 MiB\ncommit\tabc\n\
            crate\tspin\t0.12.3\nabout\t Shows.\ndevice\tconsole\tconsole\t\n";
        assert_eq!(
            describe(manifest),
            "demo 1.2.3\nShows.\ncommit: abc\ndevice: console console\ncrate: spin 0.12.3\n"
        );
        assert!(describe("").starts_with("unknown unknown\ncommit: unknown\n"));
    }
}
