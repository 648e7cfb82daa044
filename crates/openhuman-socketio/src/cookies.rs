//! Cookies of one server, as load balancers use them to send every request of a session to the same process.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most cookies that are kept, and the longest name and value, in bytes.
const MAX_COOKIES: usize = 32;
const MAX_COOKIE_BYTES: usize = 4096;

#[derive(Debug, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    expires: Option<SystemTime>,
}

/// What the server asked to be told again. Domains and paths are not looked at: there is one server.
pub(crate) struct Cookies {
    kept: Mutex<Vec<Cookie>>,
    enabled: bool,
}

impl Cookies {
    /// Keeps nothing unless `enabled`.
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            kept: Mutex::default(),
            enabled,
        }
    }

    /// Takes one `Set-Cookie` header.
    pub(crate) fn take(&self, header: &str, now: SystemTime) {
        let Some(cookie) = parse(header, now).filter(|_| self.enabled) else {
            return;
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| known.name != cookie.name);
        if kept.len() < MAX_COOKIES {
            kept.push(cookie);
        }
    }

    /// The `Cookie` header, when there is anything to say.
    pub(crate) fn header(&self, now: SystemTime) -> Option<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
        let pairs: Vec<String> = kept
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

fn parse(header: &str, now: SystemTime) -> Option<Cookie> {
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let usable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if name.is_empty() || !usable(name) || !usable(value) || name.len() + value.len() > MAX_COOKIE_BYTES {
        return None;
    }
    let (mut expires, mut max_age) = (None, None);
    for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
        match attribute.trim().to_ascii_lowercase().as_str() {
            "expires" => expires = date(value.trim()),
            "max-age" => max_age = value.trim().parse::<i64>().ok(),
            _ => {}
        }
    }
    // Max-Age wins. A time that the clock cannot tell is as good as never.
    if let Some(seconds) = max_age {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        expires = now.checked_add(Duration::from_secs(seconds));
    }
    Some(Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        expires,
    })
}

/// A date as HTTP writes it: `Tue, 01 Jul 2025 10:01:11 GMT`.
fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, text) = text.split_once(", ")?;
    let mut words = text.split([' ', '-']);
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? as u64;
    let year: u64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1601..=9999).contains(year))?;
    let mut time = words.next()?.split(':').map(str::parse::<u64>);
    let mut next = || time.next()?.ok().filter(|number| *number < 61);
    let seconds = next()? * 3600 + next()? * 60 + next()?;
    // Days since 1 March of the year 0, with February as the last month, as in the proleptic Gregorian calendar.
    let (years, months) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468);
    // What lies before 1970 has expired as surely as 1970 itself.
    Some(UNIX_EPOCH + Duration::from_secs(since_1970.map_or(0, |days| days * 86_400 + seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn cookies_are_kept_replaced_and_forgotten() {
        let cookies = Cookies::new(true);
        let now = at(1_750_000_000);
        assert_eq!(cookies.header(now), None);
        for header in [
            "io=abc; Path=/; HttpOnly",
            "AWSALB=x/y+z==; Expires=Thu, 01 Jan 2099 00:00:00 GMT",
            "no value",
            "bad\r\nname=1",
            "=nameless",
            "past=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
            "io=def; Max-Age=60",
        ] {
            cookies.take(header, now);
        }
        assert_eq!(cookies.header(now).as_deref(), Some("AWSALB=x/y+z==; io=def"));
        assert_eq!(
            cookies.header(at(1_750_000_060)).as_deref(),
            Some("AWSALB=x/y+z==")
        );
        cookies.take("AWSALB=; Max-Age=0; Expires=Thu, 01 Jan 2099 00:00:00 GMT", now);
        assert_eq!(cookies.header(now), None);
        for n in 0..100 {
            cookies.take(&format!("c{n}={}", "x".repeat(n * 100)), now);
        }
        let kept = cookies.header(now).unwrap();
        assert!(kept.len() < 150_000 && kept.matches('=').count() <= 40);

        let none = Cookies::new(false);
        none.take("io=abc", now);
        assert_eq!(none.header(now), None);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 01 Jul 2025 10:01:11 GMT", Some(1_751_364_071)),
            ("Thu, 29-Feb-2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Mon, 01 Jan 1601 00:00:00 GMT", Some(0)),
            ("Tue, 00 Jul 2025 10:01:11 GMT", None),
            ("Tue, 01 Jux 2025 10:01:11 GMT", None),
            ("Tue, 01 Jul 99999999999999999999 10:01:11 GMT", None),
            ("Tue, 01 Jul 2025", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(date(text), seconds.map(at), "{text:?}");
        }
    }

    /// The cases of the official engine client's "cookie parsing".
    #[test]
    fn the_official_cases() {
        let cookie = |name: &str, value: &str, expires| {
            let (name, value) = (name.to_owned(), value.to_owned());
            Some(Cookie { name, value, expires })
        };
        let now = at(5);
        // should parse a simple set-cookie header
        assert_eq!(parse("foo=bar", now), cookie("foo", "bar", None));
        // should parse a complex set-cookie header; there Max-Age is passed over, which RFC 6265 forbids
        let complex = "foo=bar; Max-Age=1000; Domain=.example.com; Path=/; \
                       Expires=Tue, 01 Jul 2025 10:01:11 GMT; HttpOnly; Secure; SameSite=strict";
        assert_eq!(parse(complex, now), cookie("foo", "bar", Some(at(1005))));
        let without = complex.replace("Max-Age=1000; ", "");
        assert_eq!(
            parse(&without, now),
            cookie("foo", "bar", Some(at(1_751_364_071)))
        );
        // should parse a weird but valid cookie
        let weird = "foo=bar=bar&foo=foo&John=Doe&Doe=John; Domain=.example.com; Path=/; HttpOnly; Secure";
        assert_eq!(
            parse(weird, now),
            cookie("foo", "bar=bar&foo=foo&John=Doe&Doe=John", None)
        );
    }
}
