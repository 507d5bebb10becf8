//! The layout of frames (RFC 9113, sections 4 and 6). Pure functions of bytes.

/// Bytes before the payload of a frame (section 4.1).
pub(super) const HEADER: usize = 9;

/// Bytes of a payload at most, both ways: the least that SETTINGS_MAX_FRAME_SIZE may say, which is
/// what it is until somebody says otherwise (section 6.5.2).
pub(super) const LARGEST: usize = 16_384;

/// Types of frames (section 6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// Flags of frames; which of them one may have depends on its type.
pub(super) mod flag {
    pub(in super::super) const END_STREAM: u8 = 0x1;
    pub(in super::super) const ACK: u8 = 0x1;
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    pub(in super::super) const PADDED: u8 = 0x8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// Says why a stream or a connection is ended (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub u32);

impl Code {
    pub(super) const NO_ERROR: Self = Self(0x0);
    pub(super) const PROTOCOL: Self = Self(0x1);
    pub(super) const INTERNAL: Self = Self(0x2);
    pub(super) const FLOW_CONTROL: Self = Self(0x3);
    pub(super) const STREAM_CLOSED: Self = Self(0x5);
    pub(super) const FRAME_SIZE: Self = Self(0x6);
    pub(super) const REFUSED_STREAM: Self = Self(0x7);
    pub(super) const COMPRESSION: Self = Self(0x9);
    pub(super) const CALM: Self = Self(0xb);
}

/// What stands before the payload of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frame {
    /// Reads it. The reserved bit is ignored (section 4.1).
    pub(super) const fn read(bytes: [u8; HEADER]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        Self { length, kind, flags, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]) }
    }

    pub(super) const fn write(self) -> [u8; HEADER] {
        let [_, l0, l1, l2] = (self.length as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of DATA or HEADERS without its padding (sections 6.1 and 6.2).
    ///
    /// # Errors
    /// There is more padding than payload.
    pub(super) fn unpadded<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8], Code> {
        if !self.has(flag::PADDED) {
            return Ok(payload);
        }
        let (&padding, rest) = payload.split_first().ok_or(Code::FRAME_SIZE)?;
        let end = rest.len().checked_sub(padding.into()).ok_or(Code::PROTOCOL)?;
        Ok(rest.get(..end).unwrap_or_default())
    }

    /// The field block of HEADERS: without its padding and the priority, which is not heeded
    /// (section 5.3.2), but must not name the stream itself (RFC 7540, section 5.3.1).
    ///
    /// # Errors
    /// It is too short, or names itself.
    pub(super) fn block<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8], Code> {
        let payload = self.unpadded(payload)?;
        if !self.has(flag::PRIORITY) {
            return Ok(payload);
        }
        let (priority, block) = payload.split_first_chunk::<5>().ok_or(Code::FRAME_SIZE)?;
        if depends_on(*priority) == self.stream { Err(Code::PROTOCOL) } else { Ok(block) }
    }
}

/// The stream that a priority names.
pub(super) const fn depends_on([s0, s1, s2, s3, _]: [u8; 5]) -> u32 {
    u32::from_be_bytes([s0 & 0x7f, s1, s2, s3])
}

/// What a peer's SETTINGS may say that matters here (section 6.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Bytes of content that may be sent on a stream before it is allowed more.
    Window(u32),
    /// Something that a server which pushes nothing, sends small frames and remembers no fields
    /// need not know.
    Other,
}

/// The settings of a payload, each judged.
///
/// # Errors
/// In the iterator: a value that is not allowed.
pub(super) fn settings(payload: &[u8]) -> impl Iterator<Item = Result<Setting, Code>> {
    payload.chunks_exact(6).map(|bytes| {
        let mut fields = [0; 6];
        fields.copy_from_slice(bytes);
        let [n0, n1, v0, v1, v2, v3] = fields;
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        match u16::from_be_bytes([n0, n1]) {
            // ENABLE_PUSH
            2 if value > 1 => Err(Code::PROTOCOL),
            // INITIAL_WINDOW_SIZE
            4 if value > i32::MAX as u32 => Err(Code::FLOW_CONTROL),
            4 => Ok(Setting::Window(value)),
            // MAX_FRAME_SIZE
            5 if !(LARGEST as u32..1 << 24).contains(&value) => Err(Code::PROTOCOL),
            _ => Ok(Setting::Other),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_was_written() {
        let frame = Frame { length: 0x01_0203, kind: 9, flags: 0x24, stream: 0x7bcd_ef01 };
        assert_eq!(Frame::read(frame.write()), frame);
        let mut reserved = frame.write();
        reserved[5] |= 0x80;
        assert_eq!(Frame::read(reserved), frame);
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let frame = |flags| Frame { length: 0, kind: kind::HEADERS, flags, stream: 3 };
        assert_eq!(frame(0).block(b"abc"), Ok(&b"abc"[..]));
        assert_eq!(frame(flag::PADDED).block(b"\x02abc\0\0"), Ok(&b"abc"[..]));
        assert_eq!(frame(flag::PADDED).block(b"\x05abc\0"), Err(Code::PROTOCOL));
        assert_eq!(frame(flag::PADDED).block(b""), Err(Code::FRAME_SIZE));
        assert_eq!(frame(flag::PRIORITY).block(b"\0\0\0\x01\x10abc"), Ok(&b"abc"[..]));
        assert_eq!(frame(flag::PRIORITY).block(b"\0\0\0\x03\x10abc"), Err(Code::PROTOCOL));
        assert_eq!(frame(flag::PRIORITY).block(b"\0\0\0\x01"), Err(Code::FRAME_SIZE));
    }

    #[test]
    fn settings_are_judged() {
        let one = |number: u16, value: u32| {
            let bytes = [&number.to_be_bytes()[..], &value.to_be_bytes()].concat();
            settings(&bytes).next().unwrap()
        };
        assert_eq!(one(4, 0x7fff_ffff), Ok(Setting::Window(0x7fff_ffff)));
        assert_eq!(one(4, 0x8000_0000), Err(Code::FLOW_CONTROL));
        assert_eq!(one(2, 2), Err(Code::PROTOCOL));
        assert_eq!(one(5, 16_383), Err(Code::PROTOCOL));
        assert_eq!(one(5, 0x0100_0000), Err(Code::PROTOCOL));
        for (number, value) in [(1, 0), (2, 1), (3, 0), (5, 0x00ff_ffff), (6, 1), (99, 7)] {
            assert_eq!(one(number, value), Ok(Setting::Other));
        }
    }
}
