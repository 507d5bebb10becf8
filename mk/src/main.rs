//! `cargo mk`: builds Xenith apps into Xen domU images, boots them on real
//! Xen, tests and measures them.

mod lab;

fn main() {}
