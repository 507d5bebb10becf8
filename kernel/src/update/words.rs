//! Reads what the two domains of an update say.

/// What a domain says of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<const N: usize> {
    /// The word that is waited for, with its numbers.
    Is([u32; N]),
    /// That word, with something else behind it: an image that does not know this one's format.
    Strange,
    /// It goes no further.
    Refused,
    /// Nothing of all that.
    Other,
}

/// Reads `text`, of which `word` with `N` numbers is waited for.
pub(super) fn read<const N: usize>(text: &str, word: &str) -> Word<N> {
    let mut items = text.split(' ');
    match items.next() {
        Some(first) if first == word => {}
        Some("refused") => return Word::Refused,
        _ => return Word::Other,
    }
    let mut all = [0; N];
    for number in &mut all {
        // `parse` takes a sign as well, which nobody writes.
        let item = items.next().filter(|it| it.bytes().all(|digit| digit.is_ascii_digit()));
        match item.and_then(|it| it.parse().ok()) {
            Some(read) => *number = read,
            None => return Word::Strange,
        }
    }
    if items.next().is_none() { Word::Is(all) } else { Word::Strange }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_format_is_told_from_none() {
        assert_eq!(read("ready 2 1 3 9999", "ready"), Word::Is([2, 1, 3, 9999]));
        assert_eq!(read("late 1 2 3", "late"), Word::Is([1, 2, 3]));
        for text in [
            "ready",
            "ready ",
            "ready 3",
            "ready 3 1 1 9999 7",
            "ready 2 1 1 many",
            "ready 2 1 1 99999999999",
            "ready  2 1 1 9",
            "ready +2 1 1 9",
        ] {
            assert_eq!(read::<4>(text, "ready"), Word::Strange, "{text}");
        }
        assert_eq!(read::<4>("refused its parts have another version", "ready"), Word::Refused);
        for text in ["", "readyy 2 1 1 9", "taken", "given 1 2 3"] {
            assert_eq!(read::<4>(text, "ready"), Word::Other, "{text}");
        }
    }
}
