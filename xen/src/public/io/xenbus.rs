//! `public/io/xenbus.h`: the states that a device's two ends announce.

/// `enum xenbus_state`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XenbusState {
    /// Nothing is known, or there is none any more.
    Unknown = 0,
    /// It is there and does nothing yet.
    Initialising = 1,
    /// It has said what it can, and waits for the other end to do so.
    InitWait = 2,
    /// It has said where its rings are.
    Initialised = 3,
    /// It works.
    Connected = 4,
    /// It is about to end.
    Closing = 5,
    /// It has ended.
    Closed = 6,
    /// The front end is being moved or changed.
    Reconfiguring = 7,
    /// And that is done.
    Reconfigured = 8,
}

impl XenbusState {
    /// The state that `number` stands for; unknown ones are [`XenbusState::Unknown`]
    /// (rule X12).
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
