//! The simulation's clock, and the three ways AWS writes a time. Nothing but std.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock, or one that tests set, plus an offset that they move; clones
/// share both.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    offset_s: Arc<AtomicI64>,
    follows: Arc<OnceLock<Arc<AtomicI64>>>,
}

impl SimClock {
    /// Seconds since 1970.
    pub fn now(&self) -> i64 {
        let system = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let seconds = since.expect("the clock is past 1970").as_secs();
            i64::try_from(seconds).expect("in range")
        };
        let set = self.follows.get();
        let base = set.map_or_else(system, |clock| clock.load(Ordering::SeqCst));
        let now = base.saturating_add(self.offset_s.load(Ordering::SeqCst));
        // The years 1 to 9999: those that AWS can write.
        now.clamp(-62_135_596_800, 253_402_300_799)
    }

    /// Goes by this clock from now on, and not by the machine's.
    pub fn follow(&self, clock: &Arc<AtomicI64>) {
        let set = self.follows.set(Arc::clone(clock));
        set.expect("it follows one clock only");
    }

    /// Moves AWS's clock by seconds; negative ones move it back.
    pub fn advance(&self, seconds: i64) {
        self.offset_s.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// `Mon, 23 Nov 2026 08:00:00 GMT`, the `Date` header's form.
pub fn http_date(at: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day) = civil(at);
    let weekday = DAYS[at.div_euclid(86_400).rem_euclid(7) as usize];
    let month = MONTHS[month as usize - 1];
    let (h, m, s) = clock(at);
    format!("{weekday}, {day:02} {month} {year} {h:02}:{m:02}:{s:02} GMT")
}

/// `2026-11-23T08:00:00Z`.
pub fn iso(at: i64) -> String {
    let (year, month, day) = civil(at);
    let (h, m, s) = clock(at);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

/// `20261123T080000Z`, the form in signatures.
pub fn compact(at: i64) -> String {
    iso(at).replace(['-', ':'], "")
}

/// Reads `20261123T080000Z`.
pub fn read_compact(text: &str) -> Option<i64> {
    let shape = text.len() == 16 && text.is_ascii() && text.as_bytes()[8] == b'T';
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let days = shape.then(|| days_from(part(0, 4)?, part(4, 6)?, part(6, 8)?))?;
    Some(days? * 86_400 + part(9, 11)? * 3_600 + part(11, 13)? * 60 + part(13, 15)?)
}

fn clock(at: i64) -> (i64, i64, i64) {
    let second = at.rem_euclid(86_400);
    (second / 3_600, second / 60 % 60, second % 60)
}

/// Year, month and day: whole 400-year spans, years counted from March.
fn civil(at: i64) -> (i64, i64, i64) {
    let days = at.div_euclid(86_400) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from(year: i64, month: i64, day: i64) -> Option<i64> {
    let fine = (1..=12).contains(&month) && (1..=31).contains(&day);
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    fine.then_some(era * 146_097 + days - 719_468)
}
