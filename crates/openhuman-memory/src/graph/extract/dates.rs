//! Dates in words, as milliseconds since the Unix epoch, in UTC.

use super::sentences::Word;

const DAY: i64 = 86_400_000;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The date that the words begin with, and how many words it takes.
pub(super) fn date(words: &[Word<'_>], now_ms: i64) -> Option<(i64, usize)> {
    let lower = |index: usize| words.get(index).map(|word| word.lower.as_str());
    let first = lower(0)?;
    if let Some(days) = iso(first) {
        return Some((days * DAY, 1));
    }
    if let Some(year) = year(first) {
        return Some((days_from_civil(year, 1, 1) * DAY, 1));
    }
    if let Some(month) = month(first) {
        // May 5 2023, May 5, May 2023, May
        if let Some(day) = lower(1).and_then(day) {
            let (year, taken) = lower(2)
                .and_then(year)
                .map_or((year_of(now_ms), 2), |year| (year, 3));
            return Some((days_from_civil(year, month, day) * DAY, taken));
        }
        let (year, taken) = lower(1)
            .and_then(year)
            .map_or((year_of(now_ms), 1), |year| (year, 2));
        return Some((days_from_civil(year, month, 1) * DAY, taken));
    }
    if let (Some(day), Some(month)) = (day(first), lower(1).and_then(month)) {
        let (year, taken) = lower(2)
            .and_then(year)
            .map_or((year_of(now_ms), 2), |year| (year, 3));
        return Some((days_from_civil(year, month, day) * DAY, taken));
    }
    let today = now_ms.div_euclid(DAY);
    match (first, lower(1)) {
        ("today", _) => Some((today * DAY, 1)),
        ("yesterday", _) => Some(((today - 1) * DAY, 1)),
        ("last", Some("week")) => Some(((today - 7) * DAY, 2)),
        ("last", Some("month")) => Some(((today - 30) * DAY, 2)),
        ("last", Some("year")) => Some((days_from_civil(year_of(now_ms) - 1, 1, 1) * DAY, 2)),
        _ => None,
    }
}

fn year(word: &str) -> Option<i64> {
    let year = word.parse().ok()?;
    (word.len() == 4 && (1800..2200).contains(&year)).then_some(year)
}

fn month(word: &str) -> Option<i64> {
    // `may` is a verb more often than a month.
    let place = MONTHS
        .iter()
        .position(|month| *month == word || (word.len() == 3 && word != "may" && month.starts_with(word)))?;
    i64::try_from(place).ok().map(|place| place + 1)
}

fn day(word: &str) -> Option<i64> {
    let digits = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|end| word.strip_suffix(end))
        .unwrap_or(word);
    digits
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day) && digits.len() <= 2)
}

fn iso(word: &str) -> Option<i64> {
    let mut parts = word.splitn(3, '-');
    let year = year(parts.next()?)?;
    let month: i64 = parts.next()?.parse().ok()?;
    let day: i64 = parts.next()?.parse().ok()?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| days_from_civil(year, month, day))
}

fn year_of(ms: i64) -> i64 {
    let days = ms.div_euclid(DAY);
    let mut year = 1970 + days.div_euclid(366);
    while days_from_civil(year + 1, 1, 1) <= days {
        year += 1;
    }
    year
}

/// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the day that is not in
/// every year is the last one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::super::sentences::words;
    use super::*;

    fn days(text: &str) -> Option<(i64, usize)> {
        // 2024-03-01
        date(&words(text), 19_783 * DAY + 5_000).map(|(ms, taken)| (ms / DAY, taken))
    }

    #[test]
    fn dates_in_words() {
        assert_eq!(days("2024-03-01"), Some((19_783, 1)));
        assert_eq!(days("2019"), Some((17_897, 1)));
        assert_eq!(days("1 March 2024"), Some((19_783, 3)));
        assert_eq!(days("March 1st, 2024"), Some((19_783, 3)));
        assert_eq!(days("march"), Some((19_783, 1)));
        assert_eq!(days("mar 2024 or so"), Some((19_783, 2)));
        assert_eq!(days("yesterday"), Some((19_782, 1)));
        assert_eq!(days("last year"), Some((19_358, 2)));
        assert_eq!(days("the office"), None);
        assert_eq!(days("2024-13-01"), None);
    }

    #[test]
    fn leap_days_count() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2024, 3, 1) - days_from_civil(2024, 2, 28), 2);
        assert_eq!(days_from_civil(1900, 3, 1) - days_from_civil(1900, 2, 28), 1);
        assert_eq!(year_of(-1), 1969);
    }
}
