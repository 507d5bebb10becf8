//! Converts dates of FAT: from 1980 to 2107, in steps of two seconds.

/// The first second of 1980 and the last of 2107, in seconds since 1970.
const YEARS: (u64, u64) = (315_532_800, 4_354_819_199);

/// Returns the current date and time.
pub(super) fn now() -> (u16, u16) {
    fields(kernel::time::wall_clock().as_secs())
}

/// Converts seconds since 1970 to a date and a time.
fn fields(seconds: u64) -> (u16, u16) {
    let seconds = seconds.clamp(YEARS.0, YEARS.1);
    let (year, month, day) = kernel::calendar::date(seconds / 86400);
    let second = seconds % 86400;
    let date = (year - 1980) << 9 | month << 5 | day;
    let time = (second / 3600) << 11 | (second / 60 % 60) << 5 | (second % 60 / 2);
    (date as u16, time as u16)
}

/// Converts a date and a time to seconds since 1970; 0 without a date.
pub(super) fn seconds(date: u16, time: u16) -> u64 {
    if date == 0 {
        return 0;
    }
    let (date, time) = (u64::from(date), u64::from(time));
    let (year, month, day) = (1980 + (date >> 9), (date >> 5 & 15).clamp(1, 12), date & 31);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = u64::from(month > 2 && year % 4 == 0 && year != 2100);
    // Up to 2107 every fourth year is a leap year, except 2100.
    let leaps = (year - 1969) / 4 - u64::from(year > 2100);
    let before = before.get(month as usize - 1).copied().unwrap_or(0);
    let days = (year - 1970) * 365 + leaps + before + leap + day.max(1) - 1;
    days * 86400 + (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for moment in (YEARS.0..YEARS.1).step_by(86_400 * 13 + 3602) {
            let (date, time) = fields(moment);
            assert_eq!(seconds(date, time), moment / 2 * 2);
        }
        assert_eq!(seconds(0, 0), 0);
        assert_eq!(fields(0), (33, 0));
        assert_eq!(seconds(0xffff, 0xffff) / 86400, 50_403, "whatever it says");
    }
}
