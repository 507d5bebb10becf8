//! What options of any socket tell of its buffers: `SO_RCVBUF`, `SO_SNDBUF`, `SO_RCVLOWAT`
//! (socket(7)).

use linux_raw_sys::net::SO_SNDBUF;

/// The bytes of a buffer that no program has set (net.core.rmem_default, net.core.wmem_default).
pub(super) const BUFFER: u32 = 212_992;

/// The most that a program may set (net.core.rmem_max, net.core.wmem_max).
const LARGEST: u32 = 212_992;

/// What is told of a buffer that was set to `number`: twice of that, which has to have room for what
/// Linux keeps beside the bytes.
pub(super) const fn buffer(name: u32, number: u32) -> u32 {
    let least = if name == SO_SNDBUF { 4608 } else { 2304 };
    let twice = 2 * if number < LARGEST { number } else { LARGEST };
    if twice > least { twice } else { least }
}

/// What is told of `SO_RCVLOWAT` that was set to `number`: of a negative one the most.
pub(super) const fn mark(number: u32) -> u32 {
    match number {
        0 => 1,
        1..0x8000_0000 => number,
        _ => i32::MAX as u32,
    }
}
