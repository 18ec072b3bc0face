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
pub struct Timestamp(pub i64);

/// A length of time in seconds; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);

impl Span {
    pub const ZERO: Span = Span(0);

    /// The longest that `Span::parse` reads.
    pub const LONGEST: Span = Span(i64::MAX as u64 / 4);

    pub const fn seconds(n: u64) -> Span {
        Span(n)
    }
    pub const fn minutes(n: u64) -> Span {
        Span(n.saturating_mul(60))
    }
    pub const fn hours(n: u64) -> Span {
        Span(n.saturating_mul(3_600))
    }
    pub const fn days(n: u64) -> Span {
        Span(n.saturating_mul(86_400))
    }

    /// Reads `15s`, `20m`, `1h`, `90d`; one number and one unit.
    pub fn parse(text: &str) -> Option<Span> {
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
            .map(Span)
            .filter(|length| *length <= Span::LONGEST)
    }

    #[must_use]
    pub fn times(self, n: u64) -> Span {
        Span(self.0.saturating_mul(n))
    }

    /// One of `n` parts, rounded down.
    #[must_use]
    pub fn part_of(self, n: NonZeroU64) -> Span {
        Span(self.0 / n)
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

impl fmt::Display for Span {
    /// The exact form that `Span::parse` reads, in the largest unit that fits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.min(Span::LONGEST.0);
        for (per, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
            if seconds > 0 && seconds.is_multiple_of(per) {
                return write!(f, "{}{unit}", seconds / per);
            }
        }
        write!(f, "{seconds}s")
    }
}

impl Timestamp {
    /// 0001-01-01T00:00:00Z
    pub const FIRST: Timestamp = Timestamp(-62_135_596_800);

    /// 9999-12-30T22:00:00Z: the last time that is in year 9999 at every offset.
    pub const LAST: Timestamp = Timestamp(253_402_207_200);

    /// Seconds since 1970, from a source that may say anything.
    pub fn of_seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds).within_bounds()
    }

    fn within_bounds(self) -> Timestamp {
        self.clamp(Timestamp::FIRST, Timestamp::LAST)
    }

    /// Reads RFC 3339, any offset; fractions are cut.
    pub fn parse(text: &str) -> Option<Timestamp> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(|t| Timestamp::of_seconds(t.as_second()))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `23 Nov 2026`, in UTC, for a person.
    pub fn day(self) -> String {
        match jiff::Timestamp::from_second(self.within_bounds().0) {
            Ok(t) => t.strftime("%-d %b %Y").to_string(),
            Err(_) => "out of range".into(),
        }
    }
}

impl fmt::Display for Timestamp {
    /// `YYYY-MM-DDTHH:MM:SSZ`, the one form that every AWS SDK reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An error here would be a panic in `to_string`: within the bounds there is none.
        let time = jiff::Timestamp::from_second(self.within_bounds().0).map_err(|_| fmt::Error)?;
        write!(f, "{}", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, length: Span) -> Timestamp {
        Timestamp(self.0.saturating_add_unsigned(length.0)).within_bounds()
    }
}

impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, length: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub_unsigned(length.0)).within_bounds()
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text)
            .ok_or_else(|| de::Error::custom("not a time like 2026-11-23T07:40:00Z"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Span::parse(&text).ok_or_else(|| de::Error::custom("not a length like 90d, 1h, 20m or 15s"))
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
            assert_eq!(Timestamp(seconds).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp(seconds)));
        }
        assert_eq!(
            Timestamp::parse("2026-11-23T09:00:00.75+01:00"),
            Some(Timestamp(1_795_420_800))
        );
        assert_eq!(Timestamp::parse("2026-11-23T08:00:00"), None);
    }

    #[test]
    fn no_time_is_too_far_to_calculate_with_or_to_write() {
        let seconds = [
            i64::MIN,
            Timestamp::FIRST.0 - 1,
            Timestamp::FIRST.0,
            -1,
            0,
            1_795_420_800,
            Timestamp::LAST.0,
            253_402_300_799,
            i64::MAX,
        ];
        let lengths = [0, 1, 86_400, 2_913_000 * 86_400, u64::MAX / 8, u64::MAX];
        for time in seconds.map(Timestamp) {
            for length in lengths.map(Span) {
                for result in [time, time + length, time - length] {
                    let written = result.to_string();
                    assert_eq!(Timestamp::parse(&written), Some(result.within_bounds()));
                    assert_eq!(written.len(), "2026-11-23T07:40:00Z".len());
                    assert!(!result.day().contains("range"), "{result:?}");
                }
                assert!(time + length >= time.within_bounds());
                assert!(time - length <= time.within_bounds());
                let (shown, longer) = (length.to_string(), length.times(3) + Span::days(1));
                assert!(Span::parse(&shown).is_some() && longer >= length);
                assert!(!length.rough().is_empty());
            }
            for other in seconds.map(Timestamp) {
                assert_eq!(time.since(other) > Span::ZERO, time > other);
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
            let length = Span::parse(text).unwrap();
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
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
        assert_eq!(
            Span::parse(&Span(u64::MAX).to_string()),
            Some(Span::LONGEST)
        );
        assert_eq!(Span(90_061).rough(), "1d 1h");
        assert_eq!(Span(86_405).rough(), "1d");
    }
}
