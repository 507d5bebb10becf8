//! The tables of HPACK (RFC 7541, sections 2.3 and 4): fields by numbers.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The static table (appendix A), from its number 1 on.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Bytes that a field counts for beside its name and value (section 4.1).
const EXTRA: usize = 32;

/// A field that was remembered.
struct Entry {
    bytes: Vec<u8>,
    /// How many of them are the name.
    name: usize,
}

/// The fields that a peer had us remember.
pub(super) struct Dynamic {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// What they count for (section 4.1).
    size: usize,
    /// What they may count for.
    most: usize,
}

impl Dynamic {
    pub(super) const fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, most }
    }

    /// Bytes of memory that it holds: the places of fields, and the fields, each of which counts for so
    /// much more than its text that what the allocator adds is in it.
    pub(super) fn holds(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.size
    }

    /// Sets what the entries may count for, and drops the oldest beyond that.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink(most);
    }

    fn shrink(&mut self, most: usize) {
        while self.size > most {
            let Some(old) = self.entries.pop_back() else { break };
            self.size -= old.bytes.len() + EXTRA;
        }
    }

    /// Remembers a field. One that is larger than the table empties it (section 4.4). `None` if
    /// there is no memory.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let size = name.len() + value.len() + EXTRA;
        self.shrink(self.most.saturating_sub(size));
        if size > self.most {
            return Some(());
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(name.len() + value.len()).ok()?;
        self.entries.try_reserve(1).ok()?;
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        self.entries.push_front(Entry { bytes, name: name.len() });
        self.size += size;
        Some(())
    }

    /// The field of a number of either table, if there is one (section 2.3.3).
    pub(super) fn get(&self, number: usize) -> Option<(&[u8], &[u8])> {
        let at = number.checked_sub(1)?;
        match at.checked_sub(STATIC.len()) {
            None => STATIC.get(at).map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            Some(at) => self.entries.get(at).and_then(|it| it.bytes.split_at_checked(it.name)),
        }
    }
}
