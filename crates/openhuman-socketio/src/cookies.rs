//! Cookies of one server, as load balancers use them to send every request of a session to the same process.

use std::sync::{Mutex, PoisonError};

/// Most cookies that are kept, and the longest name and value, in bytes.
const MAX_COOKIES: usize = 32;
const MAX_COOKIE_BYTES: usize = 4096;

/// What the server asked to be told again. Domains and paths are not looked at: there is one server.
#[derive(Default)]
pub(crate) struct Cookies(Mutex<Vec<(String, String)>>);

impl Cookies {
    /// Takes one `Set-Cookie` header.
    pub(crate) fn take(&self, header: &str) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        let usable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if name.is_empty() || !usable(name) || !usable(value) || name.len() + value.len() > MAX_COOKIE_BYTES {
            return;
        }
        let expired = parts.any(|part| {
            let part = part.trim().to_ascii_lowercase();
            part.strip_prefix("max-age=")
                .is_some_and(|age| age == "0" || age.starts_with('-'))
        });
        let mut cookies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.retain(|(known, _)| known != name);
        if !expired && cookies.len() < MAX_COOKIES {
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The `Cookie` header, when there is anything to say.
    pub(crate) fn header(&self) -> Option<String> {
        let cookies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_replaced_and_forgotten() {
        let cookies = Cookies::default();
        assert_eq!(cookies.header(), None);
        for header in [
            "io=abc; Path=/; HttpOnly",
            "AWSALB=x/y+z==; Expires=Thu, 01 Jan 2099 00:00:00 GMT",
            "no value",
            "bad\r\nname=1",
            "=nameless",
            "io=def; Max-Age=60",
        ] {
            cookies.take(header);
        }
        assert_eq!(cookies.header().as_deref(), Some("AWSALB=x/y+z==; io=def"));
        cookies.take("io=; Max-Age=0");
        assert_eq!(cookies.header().as_deref(), Some("AWSALB=x/y+z=="));
        for n in 0..100 {
            cookies.take(&format!("c{n}={}", "x".repeat(n * 100)));
        }
        let kept = cookies.header().unwrap();
        assert!(kept.len() < 150_000 && kept.matches('=').count() <= 40);
    }
}
