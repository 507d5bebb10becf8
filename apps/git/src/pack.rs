//! Reads a pack of version 2 as it comes, and makes its objects of it.

use crate::delta;
use crate::error::{Error, Flaw, beginning};
use crate::id::{Id, Kind};
use crate::packet::{Packet, Packets, SAID};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Range;
use embedded_io_async::Read;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags as flags};
use sha1::{Digest, Sha1};
use xenith::memory::{is_low, zeroed};

/// What an object costs besides its content, in bytes.
pub(crate) const OBJECT: u64 = 128;

/// Bounds what a repository may take of the memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all objects, with 128 for each besides: 8 MiB by default.
    pub bytes: u64,
    /// How many objects there may be, and how many entries their trees may have: 20 000 by default.
    pub objects: u32,
    /// How many deltas may be one of the other: 4095 by default, beyond which git writes none.
    pub depth: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 8 << 20, objects: 20_000, depth: 4095 }
    }
}

impl Limits {
    /// How many bytes an answer may have. What cannot be compressed becomes a little longer, and
    /// there are lines around it.
    pub(crate) const fn wire(&self) -> u64 {
        self.bytes.saturating_add(self.bytes / 64).saturating_add(1 << 16)
    }
}

/// An object, whose data several snapshots may have.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) id: Id,
    pub(crate) data: Rc<Vec<u8>>,
}

/// What a delta is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Base {
    /// The object with this number.
    At(usize),
    Id(Id),
}

/// An object of a pack, maybe in the making.
struct Part {
    /// Where it begins.
    at: u64,
    /// How many deltas it is made of.
    depth: u16,
    /// Whose data are a delta as long as it has no kind.
    kind: Option<Kind>,
    id: Id,
    data: Vec<u8>,
}

/// Reads the objects of the pack that the lines of `packets` are up to the end of the message,
/// each with the number of its band before it.
pub(crate) async fn read<R: Read>(
    packets: &mut Packets<R>,
    limits: Limits,
) -> Result<Vec<Object>, Error<R::Error>> {
    // The state is some 11 KiB, and asked for first: a box that fails is a panic.
    zeroed(2 * size_of::<DecompressorOxide>()).ok_or(Flaw::Memory)?;
    // The line that is there was the title of what comes.
    let at = packets.body().len();
    let input = Input { packets, at, position: 0, sum: Sha1::new(), core: Box::default() };
    let mut pack = Pack { input, limits, held: 0, parts: Vec::new(), waiting: Vec::new() };
    pack.read().await?;
    pack.resolve()?;
    pack.hold(0)?;
    let whole =
        |part: Part| Some(Object { kind: part.kind?, id: part.id, data: Rc::new(part.data) });
    Ok(pack.parts.into_iter().filter_map(whole).collect())
}

/// The bytes of a pack.
struct Input<'a, R> {
    packets: &'a mut Packets<R>,
    /// What was read of the last line.
    at: usize,
    /// What was read of the pack.
    position: u64,
    sum: Sha1,
    core: Box<DecompressorOxide>,
}

impl<R: Read> Input<'_, R> {
    fn rest(&self) -> &[u8] {
        self.packets.body().get(self.at..).unwrap_or_default()
    }

    /// Reads the next bytes when all were used; whether there are any.
    async fn fill(&mut self) -> Result<bool, Error<R::Error>> {
        while self.rest().is_empty() {
            match self.packets.next().await? {
                Packet::Line => {}
                Packet::Flush => return Ok(false),
                _ => return Err(Error::Malformed("end of a message")),
            }
            let (&band, text) =
                self.packets.body().split_first().ok_or(Error::Malformed("band"))?;
            match band {
                1 => self.at = 1,
                // How far it got, for people.
                2 => self.at = self.packets.body().len(),
                3 => {
                    let text = text.strip_suffix(b"\n").unwrap_or(text);
                    return Err(Error::Server(beginning(text, SAID)));
                }
                _ => return Err(Error::Malformed("band")),
            }
        }
        Ok(true)
    }

    /// Says that bytes were used.
    fn used(&mut self, count: usize) {
        let rest = self.packets.body().get(self.at..).unwrap_or_default();
        self.sum.update(rest.get(..count).unwrap_or_default());
        self.at += count;
        self.position += count as u64;
    }

    async fn byte(&mut self) -> Result<u8, Error<R::Error>> {
        if !self.fill().await? {
            return Err(Error::Ended);
        }
        let byte = self.rest().first().copied().ok_or(Error::Ended)?;
        self.used(1);
        Ok(byte)
    }

    async fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error<R::Error>> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte().await?;
        }
        Ok(bytes)
    }

    /// Reads what zlib has made of `size` bytes.
    async fn inflate(&mut self, size: usize) -> Result<Vec<u8>, Error<R::Error>> {
        const FLAGS: u32 = flags::TINFL_FLAG_PARSE_ZLIB_HEADER
            | flags::TINFL_FLAG_COMPUTE_ADLER32
            | flags::TINFL_FLAG_HAS_MORE_INPUT
            | flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let mut to = zeroed(size).ok_or(Flaw::Memory)?;
        let mut made = 0;
        self.core.init();
        loop {
            if !self.fill().await? {
                return Err(Error::Ended);
            }
            let rest = self.packets.body().get(self.at..).unwrap_or_default();
            let (status, used, more) = decompress(&mut self.core, rest, &mut to, made, FLAGS);
            made += more;
            self.used(used);
            match status {
                TINFLStatus::Done if made == size => return Ok(to),
                // There may be no more but the end, which is yet to come.
                TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput if used > 0 => {}
                TINFLStatus::Done | TINFLStatus::HasMoreOutput => return Err(Flaw::Length.into()),
                _ => return Err(Flaw::Deflate.into()),
            }
        }
    }
}

/// Deltas whose base is not whole yet.
struct Waiting {
    /// Those, by their base.
    all: Vec<(Base, usize)>,
    /// Which of them were taken.
    taken: Vec<u8>,
}

impl Waiting {
    fn new(mut all: Vec<(Base, usize)>) -> Result<Self, Flaw> {
        all.sort_unstable();
        let taken = zeroed(all.len()).ok_or(Flaw::Memory)?;
        Ok(Self { all, taken })
    }

    /// Takes those of a base; nothing the second time, as there may be as many objects of one id as
    /// there are deltas of it.
    fn take(&mut self, base: Base) -> Range<usize> {
        let first = self.all.partition_point(|(it, _)| *it < base);
        match (self.all.get(first), self.taken.get_mut(first)) {
            (Some((it, _)), Some(taken @ 0)) if *it == base => *taken = 1,
            _ => return first..first,
        }
        let rest = self.all.get(first..).unwrap_or_default();
        first..first + rest.partition_point(|(it, _)| *it == base)
    }
}

/// A pack that is read.
struct Pack<'a, R> {
    input: Input<'a, R>,
    limits: Limits,
    /// Bytes that the parts have.
    held: u64,
    parts: Vec<Part>,
    /// Those whose base is not known yet, by that.
    waiting: Vec<(Base, usize)>,
}

impl<R: Read> Pack<'_, R> {
    async fn read(&mut self) -> Result<(), Error<R::Error>> {
        if self.input.bytes().await? != *b"PACK\0\0\0\x02" {
            return Err(Flaw::Signature.into());
        }
        let count = u32::from_be_bytes(self.input.bytes().await?);
        if count > self.limits.objects {
            return Err(Flaw::Objects(self.limits.objects).into());
        }
        for _ in 0..count {
            self.object().await?;
        }
        let sum: [u8; 20] = self.input.sum.clone().finalize().into();
        if self.input.bytes().await? != sum {
            return Err(Flaw::Sum.into());
        }
        if self.input.fill().await? {
            return Err(Flaw::Trailing.into());
        }
        Ok(())
    }

    /// Takes so many bytes of those that are allowed.
    fn hold(&mut self, bytes: u64) -> Result<usize, Flaw> {
        let most = self.limits.bytes;
        self.held = self.held.saturating_add(bytes);
        let bytes = usize::try_from(bytes).ok().filter(|_| self.held <= most);
        let bytes = bytes.ok_or(Flaw::Bytes(most))?;
        // The rest is for those who are served meanwhile.
        if is_low() { Err(Flaw::Memory) } else { Ok(bytes) }
    }

    /// Reads an object.
    async fn object(&mut self) -> Result<(), Error<R::Error>> {
        let at = self.input.position;
        let mut next = self.input.byte().await?;
        let (kind, mut size, mut shift) = (next >> 4 & 7, u64::from(next & 15), 4);
        while next & 0x80 != 0 {
            next = self.input.byte().await?;
            let bits = u64::from(next & 0x7f);
            // A shift by 64 or more loses all of them.
            let higher = bits.checked_shl(shift).filter(|it| it >> shift == bits);
            size |= higher.ok_or(Flaw::Number)?;
            shift += 7;
        }
        let (kind, base) = match kind {
            1 => (Some(Kind::Commit), None),
            2 => (Some(Kind::Tree), None),
            3 => (Some(Kind::Blob), None),
            4 => (Some(Kind::Tag), None),
            6 => {
                let back = self.offset().await?;
                let begins = at.checked_sub(back).ok_or(Flaw::Offset)?;
                let number = self.parts.binary_search_by_key(&begins, |part| part.at);
                (None, Some(Base::At(number.map_err(|_| Flaw::Offset)?)))
            }
            7 => (None, Some(Base::Id(Id(self.input.bytes().await?)))),
            kind => return Err(Flaw::Kind(kind).into()),
        };
        self.hold(OBJECT)?;
        let size = self.hold(size)?;
        let data = self.input.inflate(size).await?;
        let id = kind.map_or(Id([0; 20]), |kind| Id::of(kind, &data));
        let number = self.parts.len();
        self.parts.try_reserve(1).map_err(|_| Flaw::Memory)?;
        self.parts.push(Part { at, depth: 0, kind, id, data });
        match base {
            // Most are of one that there is already.
            Some(Base::At(base)) if self.parts.get(base).is_some_and(|it| it.kind.is_some()) => {
                self.apply(base, number)?;
            }
            Some(base) => {
                self.waiting.try_reserve(1).map_err(|_| Flaw::Memory)?;
                self.waiting.push((base, number));
            }
            None => {}
        }
        Ok(())
    }

    /// Reads how far back a base begins: seven bits a byte, the highest first, and of each but the
    /// last one more than it says.
    async fn offset(&mut self) -> Result<u64, Error<R::Error>> {
        let mut next = self.input.byte().await?;
        let mut back = u64::from(next & 0x7f);
        while next & 0x80 != 0 {
            next = self.input.byte().await?;
            let more = back.checked_add(1).and_then(|it| it.checked_mul(0x80));
            let more = more.ok_or(Flaw::Number)?;
            back = more | u64::from(next & 0x7f);
        }
        Ok(back)
    }

    /// Makes an object of a delta of one that is whole.
    fn apply(&mut self, base: usize, number: usize) -> Result<(), Flaw> {
        self.hold(0)?;
        let most = self.limits.bytes.saturating_sub(self.held);
        let [base, part] = self.parts.get_disjoint_mut([base, number]).map_err(|_| Flaw::Offset)?;
        if base.depth >= self.limits.depth {
            return Err(Flaw::Depth(self.limits.depth));
        }
        let depth = base.depth + 1;
        let kind = base.kind.ok_or(Flaw::Offset)?;
        let data = delta::apply(&base.data, &part.data, most).map_err(|flaw| match flaw {
            Flaw::Bytes(_) => Flaw::Bytes(self.limits.bytes),
            flaw => flaw,
        })?;
        let was = part.data.len() as u64;
        (part.kind, part.depth, part.id) = (Some(kind), depth, Id::of(kind, &data));
        part.data = data;
        let now = part.data.len() as u64;
        self.held = self.held + now - was;
        Ok(())
    }

    /// Makes objects of all deltas that are left: of those that came before their base, and of
    /// those that name it by its id.
    fn resolve(&mut self) -> Result<(), Flaw> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut waiting = Waiting::new(core::mem::take(&mut self.waiting))?;
        let mut left = waiting.all.len();
        // What has become whole, so that others may be of it.
        let mut whole = Vec::new();
        whole.try_reserve_exact(self.parts.len()).map_err(|_| Flaw::Memory)?;
        whole.extend((0..self.parts.len()).filter(|&at| self.parts[at].kind.is_some()));
        while let Some(base) = whole.pop() {
            let Some(id) = self.parts.get(base).map(|part| part.id) else { continue };
            for key in [Base::At(base), Base::Id(id)] {
                for at in waiting.take(key) {
                    let Some(&(_, number)) = waiting.all.get(at) else { continue };
                    self.apply(base, number)?;
                    whole.push(number);
                    left -= 1;
                }
            }
        }
        let missing = waiting.all.iter().find_map(|(base, number)| match base {
            Base::Id(id) => self.parts.get(*number).filter(|it| it.kind.is_none()).map(|_| *id),
            Base::At(_) => None,
        });
        match missing {
            Some(id) => Err(Flaw::Base(id)),
            None if left > 0 => Err(Flaw::Offset),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_of_a_base_are_taken_once() {
        let (one, other) = (Base::Id(Id([1; 20])), Base::Id(Id([2; 20])));
        let mut waiting =
            Waiting::new(Vec::from([(other, 4), (one, 3), (Base::At(7), 5), (one, 2)])).unwrap();
        assert_eq!(waiting.take(one), 1..3);
        assert!(waiting.take(one).is_empty());
        assert_eq!(waiting.take(other), 3..4);
        assert!(waiting.take(Base::At(6)).is_empty());
        assert_eq!(waiting.take(Base::At(7)), 0..1);
        assert!(waiting.take(Base::Id(Id([3; 20]))).is_empty());
        assert_eq!(waiting.all.iter().map(|it| it.1).collect::<Vec<_>>(), [5, 2, 3, 4]);
    }
}
