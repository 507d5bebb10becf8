//! `public/io/xenbus.h`: the states that both ends of a device announce.

/// `enum xenbus_state`: the state of one end of a device.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XenbusState {
    /// The node does not exist, or holds no known state.
    Unknown = 0,
    /// Created, and not active yet.
    Initialising = 1,
    /// Has published its features, and waits for the other end's.
    InitWait = 2,
    /// Has published its rings and event channels, and waits for the other end to connect.
    Initialised = 3,
    /// In operation.
    Connected = 4,
    /// Closing: the other end should close too.
    Closing = 5,
    /// Closed: all shared resources are released.
    Closed = 6,
    /// The device is being reconfigured.
    Reconfiguring = 7,
    /// Reconfiguring is complete.
    Reconfigured = 8,
}

impl XenbusState {
    /// Returns the state with this number, or [`XenbusState::Unknown`] if there is none (rule
    /// X12).
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Initialising,
            2 => Self::InitWait,
            3 => Self::Initialised,
            4 => Self::Connected,
            5 => Self::Closing,
            6 => Self::Closed,
            7 => Self::Reconfiguring,
            8 => Self::Reconfigured,
            _ => Self::Unknown,
        }
    }
}
