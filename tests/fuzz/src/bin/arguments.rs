//! A command line, and what apps take out of it.

#![no_main]

use core::net::SocketAddr;
use core::time::Duration;
use kernel::args::{Args, Size, split};
use libfuzzer_sys::fuzz_target;
use xenith::ip::Settings;

fuzz_target!(|line: &[u8]| {
    let owned = Box::into_raw(line.to_vec().into_boxed_slice());
    // SAFETY: nothing else refers to it, and what refers to it from here on is gone
    // before it is freed.
    look(unsafe { &mut *owned });
    // SAFETY: it came from a box a moment ago, and `look` returned nothing.
    drop(unsafe { Box::from_raw(owned) });
});

fn look(line: &'static mut [u8]) {
    let Ok(items) = split(line) else { return };
    let Ok(mut args) = Args::new(items) else { return };
    let _ = (args.wants_help(), Settings::configure(&mut args));
    let _ = args.take::<u16>("port", Some(80)).map_err(|error| error.to_string());
    let _ = args.take::<bool>("flag", None);
    let _ = args.take::<i64>("number", None);
    let _ = args.take::<&str>("text", Some(""));
    let _ = args.take::<Duration>("time", None).map_err(|error| error.to_string());
    let _ = args.take::<Size>("size", None).map_err(|error| error.to_string());
    let _ = args.take::<Option<SocketAddr>>("peer", None).map_err(|error| error.to_string());
    let _ = args.finish().map_err(|error| error.to_string());
}
