//! Takes typed arguments and prints them.
//!
//! test(defaults): console-contains "text=none number=7 switch=false"
//! test(given): args text="a b" number=65535 switch=on
//! test(given): console-contains "text=a b number=65535 switch=true"
//! test(unknown): args oops=1
//! test(unknown): expect exit 2
//! test(unknown): console-contains "there is no argument oops"
//! test(malformed): args number=65536
//! test(malformed): expect exit 2
//! test(malformed): console-contains "number=65536: not a number from 0 to 65535"
//! test(seed): args seed=abc
//! test(seed): expect exit 2
//! test(seed): console-contains "seed=abc: not a key of 64 hexadecimal digits"
//! test(log): args log=
//! test(log): expect exit 2
//! test(log): console-contains "log=: not a level"
//! test(most): args text=
//! test(most): args-fill 1022
//! test(most): console-contains "xxx number=7 switch=false"
//! test(full): args text=
//! test(full): args-fill 1023
//! test(full): expect exit 2
//! test(full): console-contains "the arguments have more than 1022 bytes"
//! test(cut): args text=
//! test(cut): args-fill 1500
//! test(cut): expect exit 2
//! test(cut): console-contains "the arguments have more than 1022 bytes"
//! test(help): args help
//! test(help): console-contains "  number=<number from 0 to 65535>, 7 if not given"
//! test: no-verdict
//! test(malformed,seed,log,most,full,cut): not-in-check

#![no_std]
#![no_main]

use core::fmt::Write as _;
use embedded_io_async::Write;
use xenith::Console;

kernel::unikernel! {
    /// Takes typed arguments and prints them.
    name: "arguments",
    memory: 1 MiB,
    devices: { console: Console },
    args: {
        /// Some text.
        text: &'static str = "none",
        /// A number.
        number: u16 = 7,
        /// A switch.
        switch: bool = false,
    },
    main: start,
}

async fn start(
    mut console: Console,
    text: &str,
    number: u16,
    switch: bool,
) -> Result<(), &'static str> {
    let mut line = heapless::String::<1100>::new();
    writeln!(line, "text={text} number={number} switch={switch}").map_err(|_| "too long")?;
    console.write_all(line.as_bytes()).await.map_err(|_| "no console")
}
