//! The date of an answer (RFC 9110, section 5.6.7).

/// The date of second `since_1970` as `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn format(since_1970: u64) -> [u8; 29] {
    let (days, second) = (since_1970 / 86400, since_1970 % 86400);
    let mut text = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    let (year, month, day) = civil(days);
    let name = |names: &'static [u8], index: u64| {
        names.get(index as usize * 3..index as usize * 3 + 3).unwrap_or(b"???")
    };
    // 1 January 1970 was a Thursday.
    text[..3].copy_from_slice(name(b"ThuFriSatSunMonTueWed", days % 7));
    text[8..11].copy_from_slice(name(b"JanFebMarAprMayJunJulAugSepOctNovDec", month - 1));
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

/// The year, month and day of month, from 1 on, of a day since 1970.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the day which is not always there is
    // the last; day 0 is 1 March of year 0 (H. Hinnant's civil_from_days).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400 + u64::from(month >= 10);
    (year, (month + 2) % 12 + 1, day)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn dates_are_right() {
        let date = |seconds| std::string::String::from_utf8(format(seconds).to_vec()).unwrap();
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(951_827_696), "Tue, 29 Feb 2000 12:34:56 GMT");
        assert_eq!(date(1_798_761_599), "Thu, 31 Dec 2026 23:59:59 GMT");
        assert_eq!(date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }
}
