//! The way of frames out of the stack.

use devices::net::Part;

/// Where frames go.
pub(super) trait Wire {
    /// Whether there is room for another. Otherwise the driver is woken when there is.
    fn ready(&self) -> bool;

    /// Sends a frame of `length` bytes, which stands for [segments](devices::net::Meta) of
    /// this size unless it is 0; whether it did, and `fill` was called.
    fn transmit(&self, length: usize, segment: u16, fill: &mut dyn FnMut(&mut [u8])) -> bool;

    /// The same, in fragments whose packets have at most `mtu` bytes.
    fn cut(&self, length: usize, mtu: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool;

    /// Whether the other side completes the checksums of TCP.
    fn blank(&self) -> bool;

    /// Sends a frame as [`transmit`](Self::transmit) does, which has the sum of its pseudo header
    /// in the field of its checksum already, for the other side to complete.
    fn transmit_blank(&self, length: usize, segment: u16, fill: &mut dyn FnMut(&mut [u8])) -> bool;

    /// The same with a frame in parts.
    fn transmit_parts(&self, parts: &[Part<'_>], segment: u16) -> bool;
}
