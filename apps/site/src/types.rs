//! Media types by the ends of names.

/// The type of a file with this path.
pub(crate) fn of(path: &[u8]) -> &'static str {
    let dot = path.iter().rposition(|&byte| byte == b'.' || byte == b'/');
    let end = match dot.and_then(|at| path.get(at..)) {
        Some([b'.', end @ ..]) if end.len() <= 5 => end,
        _ => b"",
    };
    let mut lower = [0; 5];
    lower[..end.len()].copy_from_slice(end);
    lower.make_ascii_lowercase();
    match &lower[..end.len()] {
        b"html" | b"htm" => "text/html; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"js" | b"mjs" => "text/javascript; charset=utf-8",
        b"txt" | b"md" => "text/plain; charset=utf-8",
        b"csv" => "text/csv; charset=utf-8",
        b"xml" => "text/xml; charset=utf-8",
        b"json" | b"map" => "application/json",
        b"wasm" => "application/wasm",
        b"pdf" => "application/pdf",
        b"zip" => "application/zip",
        b"gz" | b"tgz" => "application/gzip",
        b"png" => "image/png",
        b"jpg" | b"jpeg" => "image/jpeg",
        b"gif" => "image/gif",
        b"svg" => "image/svg+xml",
        b"webp" => "image/webp",
        b"avif" => "image/avif",
        b"ico" => "image/vnd.microsoft.icon",
        b"woff" => "font/woff",
        b"woff2" => "font/woff2",
        b"ttf" => "font/ttf",
        b"otf" => "font/otf",
        b"mp3" => "audio/mpeg",
        b"ogg" => "audio/ogg",
        b"wav" => "audio/wav",
        b"mp4" => "video/mp4",
        b"webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn ends_tell_types() {
        assert_eq!(of(b"/a.b/index.HTML"), "text/html; charset=utf-8");
        assert_eq!(of(b"x.tar.gz"), "application/gzip");
        for path in [&b"x.html/y"[..], b"html", b"", b"a.", b"a.htmlhtml"] {
            assert_eq!(of(path), "application/octet-stream");
        }
    }
}
