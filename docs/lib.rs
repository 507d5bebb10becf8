//! The pages of the book, so that `cargo test --doc` compiles and runs their examples.
//!
//! `cargo mk tidy` finds a page with an example that is not here.

#![no_std]
#![forbid(unsafe_code)]

/// Declares a module for each page, documented by it.
macro_rules! pages {
    ($($page:ident $path:literal,)*) => {
        $(
            #[doc = include_str!(concat!("src/", $path))]
            mod $page {}
        )*
    };
}

pages! {
    block_request "block-request.md",
    devices "devices.md",
    disk_and_keys "disk-and-keys.md",
    driver "driver.md",
    http "http.md",
    memory "memory.md",
    metrics "metrics.md",
    network_service "network-service.md",
    tasks "tasks.md",
}
