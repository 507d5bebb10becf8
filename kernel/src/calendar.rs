//! Converts days to dates of the Gregorian calendar and back.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::calendar;
//!
//! const DAY: u64 = 24 * 60 * 60;
//! let (year, month, day) = calendar::date(1_709_164_800 / DAY);
//! assert_eq!((year, month, day), (2024, 2, 29));
//! assert_eq!(calendar::day(2024, 2, 29), Some(19_782));
//! assert_eq!(calendar::day(2023, 2, 29), None);
//! ```

/// 1 January 1970 as a number of days since 1 March of year 0.
const EPOCH: u64 = 719_468;

/// Returns year, month (1 to 12) and day of the month (1 to 31) of a day since 1 January 1970,
/// which is day 0.
#[must_use]
pub fn date(day: u64) -> (u64, u64, u64) {
    of_day(day + EPOCH)
}

/// Returns the number of days from 1 January 1970 to a date, which is negative before. Returns
/// `None` if there is no such date, such as 30 February.
#[must_use]
pub fn day(year: u64, month: u64, day: u64) -> Option<i64> {
    let of_march = year.checked_sub(u64::from(month < 3))?;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = of_march * 365 + of_march / 4 - of_march / 100 + of_march / 400 + of_year;
    // 30 February would be counted as another day.
    (of_day(days) == (year, month, day)).then_some(days as i64 - EPOCH as i64)
}

/// Returns the year, month and day of month of a day since 1 March of year 0.
fn of_day(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that a leap day is the last day of its year
    // (H. Hinnant's civil_from_days).
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400 + u64::from(month >= 10);
    (year, (month + 2) % 12 + 1, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        assert_eq!((date(0), day(1970, 1, 1)), ((1970, 1, 1), Some(0)));
        assert_eq!((date(11_016), day(2000, 2, 29)), ((2000, 2, 29), Some(11_016)));
        assert_eq!((date(47_541), day(2100, 3, 1)), ((2100, 3, 1), Some(47_541)));
        assert_eq!(day(1969, 12, 31), Some(-1));
        for number in (0..120_000).step_by(97) {
            let (year, month, of_month) = date(number);
            assert_eq!(day(year, month, of_month), Some(number as i64));
        }
        for (year, month, of_month) in [(2100, 2, 29), (2024, 2, 30), (2024, 4, 31), (2024, 13, 1)]
        {
            assert_eq!(day(year, month, of_month), None);
        }
        assert_eq!(day(2024, 0, 1), None);
        assert_eq!(day(2024, 1, 0), None);
    }
}
