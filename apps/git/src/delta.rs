//! Objects that are written as what differs from another one.

use crate::error::Flaw;
use alloc::vec::Vec;

/// Takes a byte off `rest`.
fn byte(rest: &mut &[u8]) -> Result<u8, Flaw> {
    let (&first, tail) = rest.split_first().ok_or(Flaw::Delta)?;
    *rest = tail;
    Ok(first)
}

/// Takes a length off `rest`: seven bits a byte, the lowest first.
fn length(rest: &mut &[u8]) -> Result<u64, Flaw> {
    let mut length = 0;
    for shift in (0..64).step_by(7) {
        let next = byte(rest)?;
        let bits = u64::from(next & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        length |= bits << shift;
        if next & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(Flaw::Number)
}

/// Takes a number off `rest` of which only those bytes are there whose bit is set.
fn sparse(rest: &mut &[u8], bits: u8, bytes: u32) -> Result<usize, Flaw> {
    let mut number = 0;
    for at in (0..bytes).filter(|at| bits >> at & 1 != 0) {
        number |= usize::from(byte(rest)?) << (8 * at);
    }
    Ok(number)
}

/// Makes an object of at most `most` bytes of `base` and what differs.
pub(crate) fn apply(base: &[u8], mut delta: &[u8], most: u64) -> Result<Vec<u8>, Flaw> {
    if length(&mut delta)? != base.len() as u64 {
        return Err(Flaw::Delta);
    }
    let size = length(&mut delta)?;
    let size = usize::try_from(size).ok().filter(|_| size <= most).ok_or(Flaw::Bytes(most))?;
    let mut made = Vec::new();
    made.try_reserve_exact(size).map_err(|_| Flaw::Memory)?;
    while !delta.is_empty() {
        let piece = match byte(&mut delta)? {
            // It is kept for what is to come.
            0 => return Err(Flaw::Delta),
            copy @ 0x80.. => {
                let at = sparse(&mut delta, copy, 4)?;
                let count = match sparse(&mut delta, copy >> 4, 3)? {
                    0 => 0x1_0000,
                    count => count,
                };
                base.get(at..).and_then(|rest| rest.get(..count)).ok_or(Flaw::Delta)?
            }
            count => {
                let piece = delta.split_at_checked(count.into()).ok_or(Flaw::Delta)?;
                delta = piece.1;
                piece.0
            }
        };
        // So that it does not grow beyond what was reserved.
        if piece.len() > size - made.len() {
            return Err(Flaw::Delta);
        }
        made.extend_from_slice(piece);
    }
    if made.len() == size { Ok(made) } else { Err(Flaw::Delta) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_copied_and_inserted() {
        let base = b"hello, world";
        // Seven bytes from 0, three of its own, five from 7.
        let delta = [12, 15, 0x90, 7, 3, b'm', b'y', b' ', 0x91, 7, 5];
        assert_eq!(apply(base, &delta, 15).unwrap(), b"hello, my world");
        assert_eq!(apply(base, &delta, 14), Err(Flaw::Bytes(14)));
        assert_eq!(apply(b"", &[0, 0], 0).unwrap(), b"");
        let long = [7; 0x1_0000];
        // No bytes of a length are 64 KiB.
        assert_eq!(apply(&long, &[0x80, 0x80, 4, 0x80, 0x80, 4, 0x80], 1 << 20).unwrap(), long);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = b"hello";
        let cases: [(&[u8], Flaw); 14] = [
            (&[], Flaw::Delta),
            (&[5], Flaw::Delta),
            (&[0x85], Flaw::Delta),
            // Of another base.
            (&[4, 1, 1, b'x'], Flaw::Delta),
            // Reserved.
            (&[5, 1, 0], Flaw::Delta),
            // Beyond the base: at its end, and from there.
            (&[5, 5, 0x91, 1, 5], Flaw::Delta),
            (&[5, 5, 0x91, 6, 1], Flaw::Delta),
            (&[5, 5, 0xff, 255, 255, 255, 255, 255, 255, 255], Flaw::Delta),
            // Cut off.
            (&[5, 5, 0x91, 0], Flaw::Delta),
            (&[5, 5, 5, b'x'], Flaw::Delta),
            // Shorter and longer than it says.
            (&[5, 5, 1, b'x'], Flaw::Delta),
            (&[5, 1, 2, b'x', b'y'], Flaw::Delta),
            (&[5, 100, 0x90, 5], Flaw::Bytes(99)),
            (&[5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], Flaw::Number),
        ];
        for (delta, flaw) in cases {
            assert_eq!(apply(base, delta, 99), Err(flaw), "{delta:?}");
        }
    }
}
