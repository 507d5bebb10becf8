//! What iperf3 says: states, parameters and results.

use alloc::format;
use alloc::string::String;
use core::time::Duration;
use serde::Deserialize;

/// Bytes of what all connections of a test begin with.
pub(crate) const COOKIE: usize = 37;

/// Bytes of JSON that a client may send.
pub(crate) const LONGEST: usize = 16 << 10;

/// Streams of a test.
const MOST: usize = 128;

/// Bytes that are read or written at once.
const BLOCK: usize = 128 << 10;

/// What the test is at, as iperf3's `iperf_api.h` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    TestStart = 1,
    TestRunning = 2,
    TestEnd = 4,
    ParamExchange = 9,
    CreateStreams = 10,
    ExchangeResults = 13,
    DisplayResults = 14,
    ServerError = -2_i8 as u8,
}

/// What a client asks for, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Params {
    tcp: bool,
    /// The server sends.
    pub(crate) reverse: bool,
    bidirectional: u8,
    parallel: usize,
    len: usize,
}

impl Params {
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        serde_json_core::from_slice(text).ok().map(|(params, _)| params)
    }

    pub(crate) fn is_supported(&self) -> bool {
        self.tcp && self.bidirectional == 0 && self.parallel <= MOST
    }

    pub(crate) fn parallel(&self) -> usize {
        self.parallel.max(1)
    }

    pub(crate) fn len(&self) -> usize {
        // Large blocks of many streams would take all memory.
        self.len.clamp(1 << 10, (BLOCK / self.parallel()).max(4 << 10))
    }
}

/// The results of streams that moved so many bytes each.
pub(crate) fn results(streams: &[u64], elapsed: Duration) -> String {
    let mut text = String::from(
        r#"{"cpu_util_total":0,"cpu_util_user":0,"cpu_util_system":0,"sender_has_retransmits":0,"streams":["#,
    );
    for (at, bytes) in streams.iter().enumerate() {
        // iperf3 leaves out the number 2.
        let (comma, id) = if at == 0 { ("", 1) } else { (",", at + 2) };
        text += &format!(
            "{comma}{{\"id\":{id},\"bytes\":{bytes},\"retransmits\":-1,\"jitter\":0,\"errors\":0,\
             \"omitted_errors\":0,\"packets\":0,\"omitted_packets\":0,\"start_time\":0,\
             \"end_time\":{}.{:06}}}",
            elapsed.as_secs(),
            elapsed.subsec_micros()
        );
    }
    text + "]}"
}
