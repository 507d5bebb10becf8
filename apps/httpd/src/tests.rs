//! What browsers are given.

use super::*;
use crate::pages::{self, Page};

fn page(path: &str) -> Page {
    pages::page(|ip| start(ip, 80, 8, 30, 10, 4096, 1024, 64), path)
}

#[test]
fn browsers_find_whole_pages_and_an_icon() {
    for (path, status) in [("/", 200), ("/nothing", 404), ("/metrics", 200), ("/health", 200)] {
        let page = page(path);
        assert!(page.status == status && page.is_whole(), "{path}: {page:?}");
        assert!(page.sort.starts_with("text/"), "{path}: {page:?}");
    }
    assert_eq!(page("/favicon.ico").status, 204);
}

#[test]
fn the_page_tells_of_the_machine_what_is_known() {
    let text = page("/").text;
    assert!(text.contains("<tr><td>up for<td>0 s\n"), "{text}");
    assert!(text.contains("<tr><td>connections<td>1 open, 1 so far\n"), "{text}");
    // A process knows nothing of its memory.
    assert!(!text.contains("<td>memory"), "{text}");
    let mut memory = xenith::memory::stats();
    (memory.total, memory.heap, memory.allocated) = (4 << 20, 3 << 20, 1 << 20);
    let memory = Row(memory);
    assert_eq!(std::format!("{memory}"), "<tr><td>memory<td>2048 of 4096 KiB\n");
}
