//! What a server of TLS makes of a client whose records somebody changes on their way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenith_fuzz::tls::{Input, Victim, play};

fuzz_target!(|input: Input<'_>| play(&input, Victim::Server));
