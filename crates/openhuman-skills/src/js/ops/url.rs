//! URLs and form parameters. The script keeps a serialised URL and where its parts lie; here it is parsed.

use std::rc::Rc;

use rquickjs::{Array, Value};
use url::{Position, Url, form_urlencoded, quirks};

use super::{HostError, Op, OpResult, give};
use crate::js::host::Host;
use crate::js::raw::{Args, text_of};

/// The most names and values in one list of parameters.
const MAX_TEXTS: f64 = 1e6;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "url.parse",
        run: parse,
    },
    Op {
        name: "url.set",
        run: set,
    },
    Op {
        name: "url.parseForm",
        run: parse_form,
    },
    Op {
        name: "url.writeForm",
        run: write_form,
    },
];

/// `(url, base?)`: the parts, or null.
fn parse<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let found = resolve(&args.text(0)?, args.opt_text(1)?.as_deref());
    parts(args, found.as_ref())
}

/// `(url, part, value)`: the parts after the change, or null when it is ignored.
fn set<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let changed = change(&args.text(0)?, &args.text(1)?, &args.text(2)?);
    parts(args, changed.as_ref())
}

fn parts<'js>(args: Args<'_, 'js>, url: Option<&Url>) -> OpResult<'js> {
    let Some(url) = url else {
        return Ok(Value::new_null(args.ctx().clone()));
    };
    let list = Array::new(args.ctx().clone())?;
    list.set(0, url.as_str())?;
    for (index, end) in ends(url).into_iter().enumerate() {
        list.set(index + 1, end as f64)?;
    }
    give(args, list)
}

fn resolve(text: &str, base: Option<&str>) -> Option<Url> {
    match base {
        None => Url::parse(text).ok(),
        Some(base) => Url::parse(base).ok()?.join(text).ok(),
    }
}

/// Where the parts lie: the end of the scheme with its colon, start and end of the user name, of the password and of
/// the host, the end of the port, start and end of the path, the end of the query.
fn ends(url: &Url) -> [usize; 11] {
    let scheme = url.scheme().len() + 1;
    // `Position`s of the user name and password are wrong when only one of them is there.
    let user = scheme + if url.has_authority() { 2 } else { 0 };
    let user_end = user + url.username().len();
    let (password, password_end) = match url.password() {
        Some(password) => (user_end + 1, user_end + 1 + password.len()),
        None => (user_end, user_end),
    };
    let at = |position| url[..position].len();
    let (host, host_end) = (at(Position::BeforeHost), at(Position::AfterHost));
    let (path, path_end) = (at(Position::BeforePath), at(Position::AfterPath));
    [
        scheme,
        user,
        user_end,
        password,
        password_end,
        host,
        host_end,
        at(Position::AfterPort),
        path,
        path_end,
        at(Position::AfterQuery),
    ]
}

fn change(href: &str, part: &str, value: &str) -> Option<Url> {
    let mut url = Url::parse(href).ok()?;
    match part {
        "protocol" => quirks::set_protocol(&mut url, value).ok()?,
        "username" => quirks::set_username(&mut url, value).ok()?,
        "password" => quirks::set_password(&mut url, value).ok()?,
        "host" => quirks::set_host(&mut url, value).ok()?,
        "hostname" => quirks::set_hostname(&mut url, value).ok()?,
        "port" => quirks::set_port(&mut url, value).ok()?,
        "pathname" => quirks::set_pathname(&mut url, value),
        "search" => quirks::set_search(&mut url, value),
        "hash" => quirks::set_hash(&mut url, value),
        _ => return None,
    }
    // The setters leave positions behind that do not fit together; a parsed URL has the right ones.
    Url::parse(url.as_str()).ok()
}

/// `(text)`: `[name, value]` pairs.
fn parse_form<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let list = Array::new(args.ctx().clone())?;
    for (index, (name, value)) in form_urlencoded::parse(args.text(0)?.as_bytes()).enumerate() {
        let pair = Array::new(args.ctx().clone())?;
        pair.set(0, name.as_ref())?;
        pair.set(1, value.as_ref())?;
        list.set(index, pair)?;
    }
    give(args, list)
}

/// `([name, value, name, value...])`: the text.
fn write_form<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let wrong = || HostError::Type("argument 1 must be an array of strings".to_owned());
    let list = args.value(0).into_array().ok_or_else(wrong)?;
    // The length of an array of which the script made something else can be more than an index holds.
    let length: f64 = list.as_object().get("length")?;
    if length > MAX_TEXTS {
        return Err(HostError::Range("too many parameters".to_owned()));
    }
    let mut writer = form_urlencoded::Serializer::new(String::new());
    let mut name: Option<String> = None;
    for item in list.iter::<Value<'js>>() {
        let item = item?;
        if !item.is_string() {
            return Err(wrong());
        }
        let text = text_of(args.ctx(), &item)?;
        match name.take() {
            None => name = Some(text),
            Some(name) => {
                writer.append_pair(&name, &text);
            }
        }
    }
    give(args, writer.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slices(href: &str) -> Vec<String> {
        let url = resolve(href, None).unwrap();
        let at = ends(&url);
        let part = |from: usize, to: usize| url.as_str()[from..to].to_owned();
        vec![
            part(0, at[0]),
            part(at[1], at[2]),
            part(at[3], at[4]),
            part(at[5], at[6]),
            part(at[6], at[7]),
            part(at[8], at[9]),
            part(at[9], at[10]),
        ]
    }

    #[test]
    fn parts_are_found() {
        assert_eq!(
            slices("https://u:p@h:81/a/b?q#f"),
            ["https:", "u", "p", "h", ":81", "/a/b", "?q"]
        );
        assert_eq!(slices("http://u@h/"), ["http:", "u", "", "h", "", "/", ""]);
        assert_eq!(slices("http://:p@h/"), ["http:", "", "p", "h", "", "/", ""]);
        assert_eq!(slices("data:x?y"), ["data:", "", "", "", "", "x", "?y"]);
        assert_eq!(slices("a:/..//x"), ["a:", "", "", "", "", "//x", ""]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_not(text in ".{0,80}", base in "[a-z:/?#@.%\\[\\]0-9]{0,40}") {
            for base in [None, Some(base.as_str()), Some("http://u:p@h:1/a/b?c#d")] {
                if let Some(url) = resolve(&text, base) {
                    prop_assert!(url.as_str().is_ascii());
                    prop_assert!(ends(&url).is_sorted() || url.as_str().contains("/."));
                }
            }
        }

        #[test]
        fn any_change_leaves_a_url(
            href in "(http|file|a|blob):(//)?[a-z@:.\\[\\]0-9/?#%]{0,30}",
            part in prop::sample::select(vec!["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]),
            value in ".{0,30}",
        ) {
            if let Some(url) = change(&href, part, &value) {
                prop_assert!(url.as_str().is_ascii());
                prop_assert!(Url::parse(url.as_str()).is_ok(), "{}", url);
            }
        }
    }
}
