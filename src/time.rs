//! Points and lengths of time in whole seconds, and the two forms they are
//! written in: `2026-11-23T07:40:00Z` and `90d`. Pure: nothing here reads a clock.
//!
//! Whatever stands in an item, in the settings or in an answer of AWS, no arithmetic
//! here panics or wraps: it ends at the first or last time that can be written. Other
//! modules calculate with these types, never with the numbers in them (`tidy.rs`).

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: seconds since 1970-01-01T00:00:00Z. What lies outside `FIRST` to
/// `LAST` is written, and calculated with, as if it were that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

/// A length of time in seconds; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Length(pub u64);

impl Length {
    pub const ZERO: Length = Length(0);

    /// The longest that `Length::parse` reads.
    pub const LONGEST: Length = Length(i64::MAX as u64 / 4);

    pub const fn seconds(n: u64) -> Length {
        Length(n)
    }
    pub const fn minutes(n: u64) -> Length {
        Length(n.saturating_mul(60))
    }
    pub const fn hours(n: u64) -> Length {
        Length(n.saturating_mul(3_600))
    }
    pub const fn days(n: u64) -> Length {
        Length(n.saturating_mul(86_400))
    }

    /// Reads `15s`, `20m`, `1h`, `90d`; one number and one unit.
    pub fn parse(text: &str) -> Option<Length> {
        let text = text.trim();
        let unit = text.chars().last()?;
        let per = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let number: u64 = text[..text.len() - 1].trim_end().parse().ok()?;
        number
            .checked_mul(per)
            .map(Length)
            .filter(|length| *length <= Length::LONGEST)
    }

    #[must_use]
    pub fn times(self, n: u64) -> Length {
        Length(self.0.saturating_mul(n))
    }

    /// One of `n` parts, rounded down.
    #[must_use]
    pub fn part_of(self, n: NonZeroU64) -> Length {
        Length(self.0 / n)
    }

    /// For a person: the two largest units, `3d 4h`, `12m`, `0s`.
    pub fn rough(self) -> String {
        let parts = [
            (self.0 / 86_400, "d"),
            (self.0 / 3_600 % 24, "h"),
            (self.0 / 60 % 60, "m"),
            (self.0 % 60, "s"),
        ];
        let Some(first) = parts.iter().position(|(n, _)| *n > 0) else {
            return "0s".into();
        };
        parts[first..]
            .iter()
            .take(2)
            .filter(|(n, _)| *n > 0)
            .map(|(n, unit)| format!("{n}{unit}"))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl fmt::Display for Length {
    /// The exact form that `Length::parse` reads, in the largest unit that fits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.min(Length::LONGEST.0);
        for (per, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
            if seconds > 0 && seconds.is_multiple_of(per) {
                return write!(f, "{}{unit}", seconds / per);
            }
        }
        write!(f, "{seconds}s")
    }
}

impl Time {
    /// 0001-01-01T00:00:00Z
    pub const FIRST: Time = Time(-62_135_596_800);

    /// 9999-12-30T22:00:00Z: the last time that is in year 9999 at every offset.
    pub const LAST: Time = Time(253_402_207_200);

    /// Seconds since 1970, from a source that may say anything.
    pub fn of_seconds(seconds: i64) -> Time {
        Time(seconds).within_bounds()
    }

    fn within_bounds(self) -> Time {
        self.clamp(Time::FIRST, Time::LAST)
    }

    /// Reads RFC 3339, any offset; fractions are cut.
    pub fn parse(text: &str) -> Option<Time> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(|t| Time::of_seconds(t.as_second()))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Time) -> Length {
        Length(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `23 Nov 2026`, in UTC, for a person.
    pub fn day(self) -> String {
        match jiff::Timestamp::from_second(self.within_bounds().0) {
            Ok(t) => t.strftime("%-d %b %Y").to_string(),
            Err(_) => "out of range".into(),
        }
    }
}

impl fmt::Display for Time {
    /// `YYYY-MM-DDTHH:MM:SSZ`, the one form that every AWS SDK reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An error here would be a panic in `to_string`: within the bounds there is none.
        let time = jiff::Timestamp::from_second(self.within_bounds().0).map_err(|_| fmt::Error)?;
        write!(f, "{}", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl Add<Length> for Time {
    type Output = Time;
    fn add(self, length: Length) -> Time {
        Time(self.0.saturating_add_unsigned(length.0)).within_bounds()
    }
}

impl Sub<Length> for Time {
    type Output = Time;
    fn sub(self, length: Length) -> Time {
        Time(self.0.saturating_sub_unsigned(length.0)).within_bounds()
    }
}

impl Add for Length {
    type Output = Length;
    fn add(self, other: Length) -> Length {
        Length(self.0.saturating_add(other.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Time::parse(&text).ok_or_else(|| de::Error::custom("not a time like 2026-11-23T07:40:00Z"))
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Length::parse(&text)
            .ok_or_else(|| de::Error::custom("not a length like 90d, 1h, 20m or 15s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_every_sdk_reads_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_420_800, "2026-11-23T08:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
        ] {
            assert_eq!(Time(seconds).to_string(), text);
            assert_eq!(Time::parse(text), Some(Time(seconds)));
        }
        assert_eq!(
            Time::parse("2026-11-23T09:00:00.75+01:00"),
            Some(Time(1_795_420_800))
        );
        assert_eq!(Time::parse("2026-11-23T08:00:00"), None);
    }

    #[test]
    fn no_time_is_too_far_to_calculate_with_or_to_write() {
        let seconds = [
            i64::MIN,
            Time::FIRST.0 - 1,
            Time::FIRST.0,
            -1,
            0,
            1_795_420_800,
            Time::LAST.0,
            253_402_300_799,
            i64::MAX,
        ];
        let lengths = [0, 1, 86_400, 2_913_000 * 86_400, u64::MAX / 8, u64::MAX];
        for time in seconds.map(Time) {
            for length in lengths.map(Length) {
                for result in [time, time + length, time - length] {
                    let written = result.to_string();
                    assert_eq!(Time::parse(&written), Some(result.within_bounds()));
                    assert_eq!(written.len(), "2026-11-23T07:40:00Z".len());
                    assert!(!result.day().contains("range"), "{result:?}");
                }
                assert!(time + length >= time.within_bounds());
                assert!(time - length <= time.within_bounds());
                let (shown, longer) = (length.to_string(), length.times(3) + Length::days(1));
                assert!(Length::parse(&shown).is_some() && longer >= length);
                assert!(!length.rough().is_empty());
            }
            for other in seconds.map(Time) {
                assert_eq!(time.since(other) > Length::ZERO, time > other);
            }
        }
    }

    #[test]
    fn lengths_read_and_print() {
        for (text, seconds, printed) in [
            ("90d", 7_776_000, "90d"),
            ("24h", 86_400, "1d"),
            ("90m", 5_400, "90m"),
            ("15s", 15, "15s"),
            ("0s", 0, "0s"),
        ] {
            let length = Length::parse(text).unwrap();
            assert_eq!((length.0, length.to_string().as_str()), (seconds, printed));
        }
        for bad in [
            "",
            "90",
            "d",
            "-1d",
            "1w",
            "1.5h",
            "99999999999999999999d",
            "9223372036854775807d",
        ] {
            assert_eq!(Length::parse(bad), None, "{bad}");
        }
        assert_eq!(
            Length::parse(&Length(u64::MAX).to_string()),
            Some(Length::LONGEST)
        );
        assert_eq!(Length(90_061).rough(), "1d 1h");
        assert_eq!(Length(86_405).rough(), "1d");
    }
}
