//! Reads what there is as a whole: a body in a handler, or the content of an answer.

use embedded_io_async::Read;
use std::vec;
use std::vec::Vec;

/// Reads until the end, at most `piece` bytes at a time.
pub(crate) async fn all<R: Read>(from: &mut R, piece: usize) -> Result<Vec<u8>, R::Error> {
    let (mut all, mut piece) = (Vec::new(), vec![0; piece]);
    loop {
        match from.read(&mut piece).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&piece[..count]),
        }
    }
}
