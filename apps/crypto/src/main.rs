//! The wiring of `crypto`.
//!
//! test(avx): console-contains "crypto: all vectors are right\n"
//! test(avx): console-contains "AES-NI, PCLMULQDQ"
//! test(plain): args avx=off
//! test(plain): console-contains "crypto: all vectors are right\n"
//! test(plain): console-contains "crypto: the processor has aes no-avx no-avx2 no-pclmulqdq no-sha no-vaes\n"
//! test(none): xl cpuid="host,aes=0,pclmulqdq=0"
//! test(none): console-contains "crypto: all vectors are right\n"
//! test(plain,none): not-in-check

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// Tests the cryptography of images by published vectors, and says by which instructions it
    /// works and what it costs.
    name: "crypto",
    memory: 4 MiB,
    stack: 256 KiB,
    devices: { console: Console },
    args: {
        /// KiB of data to measure with; with 0 nothing is measured. Where instructions are counted,
        /// as by cargo mk bench crypto, a ns is one.
        kib: usize = 64,
    },
    main: crypto::start,
}
