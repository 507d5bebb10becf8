//! A disk that is verified if its root is known.

use super::{Block, Error, Info, Root, Verity};

/// A disk `B` whose content is verified, or is not. What takes disks of any sort is compiled once
/// for both.
#[derive(Debug)]
pub enum Checked<B> {
    /// Its content is taken as it is.
    Not(B),
    /// Its content is verified.
    Verified(Verity<B>),
}

impl<B: Block> Checked<B> {
    /// Opens `disk`, and verifies it from then on if there is a root.
    ///
    /// # Errors
    /// Those of [`Verity::open`].
    pub async fn open(disk: B, root: Option<Root>) -> Result<Self, Error<B::Error>> {
        match root {
            Some(root) => Verity::open(disk, root).await.map(Self::Verified),
            None => Ok(Self::Not(disk)),
        }
    }
}

impl<B: Block> Block for Checked<B> {
    type Error = Error<B::Error>;

    fn info(&self) -> Info {
        match self {
            Self::Not(disk) => disk.info(),
            Self::Verified(disk) => disk.info(),
        }
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), Self::Error> {
        match self {
            Self::Not(disk) => disk.read(sector, to).await.map_err(Error::Disk),
            Self::Verified(disk) => disk.read(sector, to).await,
        }
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), Self::Error> {
        match self {
            Self::Not(disk) => disk.write(sector, from).await.map_err(Error::Disk),
            Self::Verified(disk) => disk.write(sector, from).await,
        }
    }

    async fn flush(&self) -> Result<(), Self::Error> {
        match self {
            Self::Not(disk) => disk.flush().await.map_err(Error::Disk),
            Self::Verified(disk) => disk.flush().await,
        }
    }

    async fn discard(&self, sector: u64, count: u64) -> Result<(), Self::Error> {
        match self {
            Self::Not(disk) => disk.discard(sector, count).await.map_err(Error::Disk),
            Self::Verified(disk) => disk.discard(sector, count).await,
        }
    }
}
