//! Reads and changes the FAT: which cluster follows which, and which are free.

use super::layout::{u16_at, u32_at};
use super::{Error, Fat};
use alloc::vec::Vec;
use devices::block::Block;

/// The approximate limit of changed sectors of the FAT in memory.
const CHANGED: usize = 128;

/// The most runs that are remembered of a chain.
const RUNS: usize = 512;

/// The most chains that are remembered.
const CHAINS: usize = 8;

/// A run of consecutive clusters of a chain.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The number of the chain's clusters before it.
    index: u32,
    cluster: u32,
    count: u32,
}

/// The known runs of a chain. If there are too many, only some are remembered, and the others
/// are found by following the chain from the run before them.
#[derive(Debug)]
pub(super) struct Chain {
    start: u32,
    runs: Vec<Run>,
    /// The index and the number of the cluster that was found last.
    cursor: (u32, u32),
}

impl Chain {
    fn new(start: u32) -> Self {
        let first = Run { index: 0, cluster: start, count: 1 };
        Self { start, runs: alloc::vec![first], cursor: (0, start) }
    }

    /// Returns the run that `index` is in, or else the index and the number of the nearest known
    /// cluster before it.
    fn find(&self, index: u32) -> Result<Run, (u32, u32)> {
        let before = self.runs.partition_point(|run| run.index <= index);
        let Some(run) = before.checked_sub(1).and_then(|at| self.runs.get(at)) else {
            return Err((0, self.start));
        };
        let within = index - run.index;
        if within < run.count {
            let (cluster, count) = (run.cluster + within, run.count - within);
            return Ok(Run { index, cluster, count });
        }
        let last = (run.index + run.count - 1, run.cluster + run.count - 1);
        let (at, _) = self.cursor;
        Err(if at > last.0 && at <= index { self.cursor } else { last })
    }

    /// Remembers the number of the cluster with `index`.
    fn note(&mut self, index: u32, cluster: u32) {
        self.cursor = (index, cluster);
        let Some(last) = self.runs.last_mut() else { return };
        if index != last.index + last.count {
            return;
        }
        if cluster == last.cluster + last.count {
            last.count += 1;
            return;
        }
        if self.runs.len() >= RUNS {
            let mut number = 0;
            self.runs.retain(|_| {
                number += 1;
                number % 2 == 1 || number == RUNS
            });
        }
        self.runs.push(Run { index, cluster, count: 1 });
    }
}

impl<B: Block> Fat<B> {
    /// Reads the entry of a valid cluster.
    async fn entry(&self, cluster: u32) -> Result<u32, Error> {
        let number = u64::from(cluster);
        let value = match self.layout.bits {
            12 => {
                let at = number * 3 / 2;
                let word = self.byte(at).await? | self.byte(at + 1).await? << 8;
                if cluster.is_multiple_of(2) { word & 0xfff } else { word >> 4 }
            }
            16 => self.table_at(number * 2, |it, at| u16_at(it, at).into()).await?,
            _ => self.table_at(number * 4, u32_at).await? & 0x0fff_ffff,
        };
        Ok(value)
    }

    async fn byte(&self, at: u64) -> Result<u32, Error> {
        self.table_at(at, |it, at| it.get(at).copied().map_or(0, u32::from)).await
    }

    /// Calls `with` with the sector that holds byte `at` of the FAT, and the offset in it.
    async fn table_at<T>(&self, at: u64, with: impl FnOnce(&[u8], usize) -> T) -> Result<T, Error> {
        let size = self.layout.sector;
        let base = self.layout.table + self.layout.active * self.layout.table_length;
        let end = self.layout.table_length / size;
        let within = (at % size) as usize;
        self.table.get(&*self.disk, base, at / size, end, |it| with(it, within)).await
    }

    async fn set(&self, cluster: u32, value: u32) -> Result<(), Error> {
        let number = u64::from(cluster);
        let odd = !cluster.is_multiple_of(2);
        let (at, value, mask, length) = match self.layout.bits {
            12 if odd => (number * 3 / 2, value << 4, 0x000f_u32, 2),
            12 => (number * 3 / 2, value, 0xf000, 2),
            16 => (number * 2, value, 0, 2),
            _ => (number * 4, value, 0xf000_0000, 4),
        };
        let size = self.layout.sector;
        let base = self.layout.table + self.layout.active * self.layout.table_length;
        // An entry of 12 bits may cross a sector boundary.
        for byte in 0..length {
            let (at, shift) = (at + byte, byte * 8);
            let (mask, value) = ((mask >> shift) as u8, (value >> shift) as u8);
            let change = |it: &mut [u8]| {
                if let Some(it) = it.get_mut((at % size) as usize) {
                    *it = *it & mask | value & !mask;
                }
            };
            self.table.change(&*self.disk, base, at / size, change).await?;
        }
        Ok(())
    }

    /// Returns the cluster that follows another one in its chain, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Damaged`] for an entry that is no valid cluster, and the disk's.
    async fn next(&self, cluster: u32) -> Result<Option<u32>, Error> {
        let next = self.entry(cluster).await?;
        if self.layout.is_cluster(next) {
            return Ok(Some(next));
        }
        // Each of the eight highest values ends a chain.
        if next >= self.layout.end() - 7 { Ok(None) } else { Err(Error::Damaged) }
    }

    /// Finds the cluster with `index` of the chain that begins with `start`, and how many
    /// consecutive clusters, up to `most`, are known from there on, itself included. Returns
    /// `None` if the chain ends before it.
    ///
    /// # Errors
    /// [`Error::Damaged`], and the disk's.
    pub(super) async fn run(
        &self,
        start: u32,
        index: u32,
        most: u32,
    ) -> Result<Option<(u32, u32)>, Error> {
        if !self.layout.is_cluster(start) || index >= self.layout.clusters {
            return Err(Error::Damaged);
        }
        let (mut at, mut cluster, mut count) = match self.chain(start, |chain| chain.find(index)) {
            Ok(run) => (index, run.cluster, run.count),
            Err((at, cluster)) => (at, cluster, 1),
        };
        while at < index {
            let Some(next) = self.next(cluster).await? else { return Ok(None) };
            (at, cluster) = (at + 1, next);
            self.chain(start, |chain| chain.note(at, cluster));
        }
        while count < most {
            match self.next(cluster + count - 1).await {
                Ok(Some(next)) if next == cluster + count => {
                    self.chain(start, |chain| chain.note(at + count, next));
                    count += 1;
                }
                // An error further on is returned when that cluster is asked for.
                _ => break,
            }
        }
        Ok(Some((cluster, count.min(most))))
    }

    /// Calls `with` with the known runs of a chain.
    fn chain<T>(&self, start: u32, with: impl FnOnce(&mut Chain) -> T) -> T {
        let mut chains = self.chains.borrow_mut();
        // The least recently used one is first.
        let chain = match chains.iter().position(|chain| chain.start == start) {
            Some(at) => chains.remove(at),
            None => {
                if chains.len() >= CHAINS {
                    chains.remove(0);
                }
                Chain::new(start)
            }
        };
        chains.push(chain);
        match chains.last_mut() {
            Some(chain) => with(chain),
            // One was pushed.
            None => with(&mut Chain::new(start)),
        }
    }

    /// Appends `count` free clusters to the chain that ends with `last`, or makes a new chain.
    /// Returns the first of them. The change is in memory until the FAT is written.
    ///
    /// # Errors
    /// [`Error::Full`], and the disk's.
    pub(super) async fn grow(&self, last: Option<u32>, count: u32) -> Result<u32, Error> {
        let (mut first, mut last) = (None, last);
        for _ in 0..count {
            let cluster = self.free_cluster().await?;
            self.set(cluster, self.layout.end()).await?;
            if let Some(last) = last {
                self.set(last, cluster).await?;
            }
            let mut state = self.state.get();
            state.next = cluster + 1;
            state.free = state.free.map(|free| free.saturating_sub(1));
            self.state.set(state);
            first = first.or(Some(cluster));
            last = Some(cluster);
        }
        first.ok_or(Error::Full)
    }

    /// Finds a free cluster, searching from the one that was allocated last.
    async fn free_cluster(&self) -> Result<u32, Error> {
        let end = self.layout.clusters + 2;
        let from = self.state.get().next;
        let from = if self.layout.is_cluster(from) { from } else { 2 };
        for (mut at, end) in [(from, end), (2, from)] {
            while at < end {
                if self.layout.bits == 12 {
                    if self.entry(at).await? == 0 {
                        return Ok(at);
                    }
                    at += 1;
                    continue;
                }
                // One whole sector at a time.
                let width = if self.layout.bits == 16 { 2 } else { 4 };
                let byte = u64::from(at) * width;
                let find = |line: &[u8], within: usize| {
                    let entries =
                        line.get(within..).unwrap_or_default().chunks_exact(width as usize);
                    let count = entries.len();
                    let free = |entry: &[u8]| match entry {
                        [a, b] => a | b == 0,
                        [a, b, c, d] => a | b | c | (d & 0x0f) == 0,
                        _ => false,
                    };
                    (entries.clone().position(free), count)
                };
                let (found, count) = self.table_at(byte, find).await?;
                match found.map(|more| at + more as u32) {
                    Some(cluster) if cluster < end => return Ok(cluster),
                    _ => at += (count as u32).max(1),
                }
            }
        }
        Err(Error::Full)
    }
}

impl<B: Block + 'static> Fat<B> {
    /// Ends a chain at its cluster `last`, or removes all of it, and frees the clusters from
    /// `from` on. Writes the FAT. No entry may refer to the freed clusters any more.
    ///
    /// # Errors
    /// The disk's. A damaged chain is freed up to the damage.
    pub(super) async fn cut(&self, last: Option<u32>, from: Option<u32>) -> Result<(), Error> {
        self.chains.borrow_mut().clear();
        if let Some(last) = last {
            self.set(last, self.layout.end()).await?;
            self.write_table(None).await?;
            self.barrier().await?;
        }
        let mut next = from;
        while let Some(cluster) = next.filter(|&it| self.layout.is_cluster(it)) {
            // A chain in a circle leads to a cluster that is free already.
            if self.entry(cluster).await? == 0 {
                break;
            }
            next = match self.next(cluster).await {
                Err(Error::Damaged) => None,
                next => next?,
            };
            self.set(cluster, 0).await?;
            let mut state = self.state.get();
            state.free = state.free.map(|free| free + 1);
            self.state.set(state);
            if self.table.changed() >= CHANGED {
                self.write_table(None).await?;
            }
        }
        self.write_table(None).await
    }

    /// Writes the changed sectors of the FAT to each copy, that with the entry of `last` after
    /// all others, as it refers to them.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn write_table(&self, last: Option<u32>) -> Result<(), Error> {
        let it = &self.layout;
        let bases = (it.active..it.tables).map(|number| it.table + number * it.table_length);
        let write = async |at, bytes: &[u8]| self.write_bytes(at, bytes).await;
        self.writing.set(true);
        if let Some(last) = last {
            // The sectors of its entry, of which FAT12 may have two, are written together.
            let bit = u64::from(last) * u64::from(it.bits);
            let end = (bit + u64::from(it.bits) - 1) / 8 / it.sector;
            let own = bit / 8 / it.sector..=end;
            if self.table.changed_but(&own) {
                self.table.write(write, bases.clone(), |it| !own.contains(it)).await?;
                self.barrier().await?;
            }
        }
        self.table.write(write, bases, |_| true).await?;
        self.writing.set(false);
        self.free_on_disk.set(self.state.get().free);
        Ok(())
    }
}
