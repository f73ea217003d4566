//! Days and dates of the Gregorian calendar, also before it was made (the proleptic one, as RFC 3339 has it).
//!
//! By Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil` and `civil_from_days`:
//! <https://howardhinnant.github.io/date_algorithms.html>. Years begin in March there, so that the leap day is the last.

/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// A day by its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    pub year: i64,
    /// From 1 on.
    pub month: u32,
    /// From 1 on.
    pub day: u32,
}

impl Date {
    /// Whether there is such a day.
    #[inline]
    pub fn exists(self) -> bool {
        (1..=12).contains(&self.month) && (1..=month_days(self.year, self.month)).contains(&self.day)
    }

    /// Days since 1970-01-01.
    #[inline]
    pub fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month = i64::from((self.month + 9) % 12);
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * ERA_DAYS + day_of_era - EPOCH_DAYS
    }

    /// The date of a day that is so many days after 1970-01-01.
    pub fn of(days: i64) -> Date {
        let days = days + EPOCH_DAYS;
        let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date { year, month: month as u32, day: day as u32 }
    }
}

/// How many days a month has.
#[inline]
fn month_days(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_that_counting_days_gives() {
        let mut date = Date { year: 1, month: 1, day: 1 };
        let mut days = -719_162;
        while date.year < 10_000 {
            assert!(date.exists());
            assert_eq!((date.days(), Date::of(days)), (days, date));
            days += 1;
            date.day += 1;
            if !date.exists() {
                date = Date { month: date.month + 1, day: 1, ..date };
            }
            if !date.exists() {
                date = Date { year: date.year + 1, month: 1, day: 1 };
            }
        }
        assert_eq!(days, 2_932_897);
        assert_eq!(Date::of(0), Date { year: 1970, month: 1, day: 1 });
    }

    #[test]
    fn days_that_are_none_do_not_exist() {
        for (year, month, day) in
            [(2026, 2, 29), (1900, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0)]
        {
            assert!(!Date { year, month, day }.exists(), "{year}-{month}-{day}");
        }
        assert!(Date { year: 2000, month: 2, day: 29 }.exists() && Date { year: 2028, month: 2, day: 29 }.exists());
    }
}
