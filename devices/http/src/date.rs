//! Dates in fields (RFC 9110, section 5.6.7).

use core::ops::Range;
use kernel::calendar;

/// Formats a date, in seconds since 1970, as `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn format(since_1970: u64) -> [u8; 29] {
    let (days, second) = (since_1970 / 86400, since_1970 % 86400);
    let mut text = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    let (year, month, day) = calendar::date(days);
    let name = |names: &'static [u8], index: u64| {
        names.get(index as usize * 3..index as usize * 3 + 3).unwrap_or(b"???")
    };
    // 1 January 1970 was a Thursday.
    text[..3].copy_from_slice(name(b"ThuFriSatSunMonTueWed", days % 7));
    text[8..11].copy_from_slice(name(MONTHS, month - 1));
    let mut two = |at: usize, number: u64| {
        text[at] = b'0' + (number / 10 % 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    };
    two(5, day);
    two(12, year / 100);
    two(14, year % 100);
    two(17, second / 3600);
    two(20, second / 60 % 60);
    two(23, second % 60);
    text
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Parses a date in any of the three forms that a recipient has to know: `Sun, 06 Nov 1994
/// 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. Returns
/// seconds since 1970, 0 for a date before that, and `None` for what is not a date.
///
/// A year of two digits that would be over 50 years after `now`, in seconds since 1970 as
/// well, is one of the past. The name of the day is not compared with the date, which is
/// clear without it.
#[must_use]
pub fn parse(date: &[u8], now: u64) -> Option<u64> {
    let end = date.iter().position(|byte| !byte.is_ascii_alphabetic())?;
    let (name, rest) = date.split_at_checked(end)?;
    let short = DAYS.iter().any(|day| day.as_bytes().get(..3) == Some(name));
    let long = DAYS.iter().any(|day| day.as_bytes() == name);
    let field = |range: Range<usize>| rest.get(range).unwrap_or_default();
    let (day, month, year, clock) = if short && fits(rest, b", 00 Aaa 0000 00:00:00 GMT") {
        (field(2..4), field(5..8), Ok(number(field(9..13))), field(14..22))
    } else if long && fits(rest, b", 00-Aaa-00 00:00:00 GMT") {
        (field(2..4), field(5..8), Err(number(field(9..11))), field(12..20))
    } else if short && fits(rest, b" Aaa _0 00:00:00 0000") {
        (field(5..7), field(1..4), Ok(number(field(17..21))), field(8..16))
    } else {
        return None;
    };
    let mut clock = clock.split(|&byte| byte == b':').map(number);
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
    // A minute may have a leap second.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (day, second) = (number(day), (hour * 60 + minute) * 60 + second);
    let month = MONTHS.chunks(3).position(|name| name == month)? as u64 + 1;
    let year = year.unwrap_or_else(|digits| {
        // The last year with these digits that is not after the fiftieth from now.
        let (today, second_now) = (calendar::date(now / 86400), now % 86400);
        let most = today.0 + 50;
        let year = most - (most + 100 - digits) % 100;
        let after = (month, day, second) > (today.1, today.2, second_now);
        if year == most && after { year - 100 } else { year }
    });
    Some((calendar::day(year, month, day)? * 86400 + second as i64).max(0) as u64)
}

/// Whether `text` is of the form `like`: 0 stands for a digit, _ for one or a space, and
/// letters for any.
fn fits(text: &[u8], like: &[u8]) -> bool {
    let fits = |(byte, like): (&u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        b'_' => byte.is_ascii_digit() || *byte == b' ',
        b'A' | b'a' => byte.is_ascii_alphabetic(),
        _ => byte == like,
    };
    text.len() == like.len() && text.iter().zip(like).all(fits)
}

/// The number of these digits, before which spaces may stand.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit & 15))
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn dates_are_right() {
        let date = |seconds| std::string::String::from_utf8(format(seconds).to_vec()).unwrap();
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(951_827_696), "Tue, 29 Feb 2000 12:34:56 GMT");
        assert_eq!(date(1_798_761_599), "Thu, 31 Dec 2026 23:59:59 GMT");
        assert_eq!(date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    /// 28 November 2026.
    const NOW: u64 = 1_795_824_000;

    #[test]
    fn dates_of_each_form_are_read() {
        for (date, expected) in [
            // RFC 9110, 5.6.7: one date in its three forms.
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Wed Nov 16 08:49:37 1994", Some(784_975_777)),
            ("Tue, 29 Feb 2000 12:34:56 GMT", Some(951_827_696)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0)),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            // Up to fifty years ahead, and not more.
            ("Tuesday, 01-Jan-76 00:00:00 GMT", Some(3_345_062_400)),
            ("Saturday, 28-Nov-76 00:00:00 GMT", Some(3_373_747_200)),
            ("Sunday, 28-Nov-76 00:00:01 GMT", Some(217_987_201)),
            ("Saturday, 01-Jan-77 00:00:00 GMT", Some(220_924_800)),
            ("Saturday, 01-Jan-00 00:00:00 GMT", Some(946_684_800)),
            // The name of another day.
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("", None),
            ("784111777", None),
            ("yesterday", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT ", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None),
            ("Sun, 06-Nov-94 08:49:37 GMT", None),
            ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 31 Nov 1994 08:49:37 GMT", None),
            ("Tue, 29 Feb 2100 12:34:56 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:60:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("Sat, 01 Jan 0000 00:00:00 GMT", None),
            ("Sun Nov 6 08:49:37 1994", None),
            ("Sun Nov  6 08:49:37 94", None),
        ] {
            assert_eq!(parse(date.as_bytes(), NOW), expected, "{date}");
        }
    }

    #[test]
    fn what_is_formatted_is_read() {
        for second in (0..8_000_000_000).step_by(86_399_737) {
            assert_eq!(parse(&format(second), NOW), Some(second));
        }
    }
}
