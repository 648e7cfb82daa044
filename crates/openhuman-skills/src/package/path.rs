//! The names of files inside a package.

use unicode_normalization::UnicodeNormalization as _;

/// The longest path inside a package and the longest part of one, in bytes. They fit every archive header.
const MAX_PATH: usize = 150;
const MAX_PART: usize = 100;

/// Why a text is not the path of a file in a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Empty, or a part of it is.
    #[error("it is empty, absolute, or has an empty part")]
    Empty,
    /// Longer than 150 bytes, or a part of it is longer than 100.
    #[error("it is longer than 150 bytes, or a part of it is longer than 100")]
    TooLong,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// A part is `.` or `..`.
    #[error("`.` and `..` are not allowed")]
    Dots,
    /// A character that separates, escapes or means something special on some system.
    #[error("backslashes, colons, control characters and any of <>\"|?* are not allowed")]
    Character,
    /// A part ends with a dot or a space, which Windows drops.
    #[error("a part ends with a dot or a space")]
    Ending,
    /// A part is the name of a device on Windows.
    #[error("a part is the name of a device on Windows, such as `con` or `nul.txt`")]
    Device,
}

/// Checks that a path is relative, has forward slashes and means the same file on every system.
pub(crate) fn check(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > MAX_PATH || path.split('/').any(|part| part.len() > MAX_PART) {
        return Err(PathError::TooLong);
    }
    if path
        .chars()
        .any(|letter| letter.is_control() || "\\:<>\"|?*".contains(letter))
    {
        return Err(PathError::Character);
    }
    path.split('/').try_for_each(check_part)
}

fn check_part(part: &str) -> Result<(), PathError> {
    match part {
        "" => return Err(PathError::Empty),
        "." | ".." => return Err(PathError::Dots),
        _ => {}
    }
    if part.ends_with(['.', ' ']) {
        return Err(PathError::Ending);
    }
    // Windows looks at what stands before the first dot, without spaces at its end.
    let stem = part
        .split('.')
        .next()
        .unwrap_or(part)
        .trim_end()
        .to_ascii_lowercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut letters = rest.chars();
            let digit = letters
                .next()
                .is_some_and(|first| first.is_ascii_digit() || "¹²³".contains(first));
            digit && letters.next().is_none()
        })
    };
    let device = matches!(
        stem.as_str(),
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$"
    ) || numbered("com")
        || numbered("lpt");
    if device { Err(PathError::Device) } else { Ok(()) }
}

/// The form in which two paths are the same file where case or composed accents make no difference.
pub(crate) fn folded(path: &str) -> String {
    let upper: String = path.nfd().flat_map(char::to_uppercase).collect();
    upper.to_lowercase().nfd().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_fold() {
        for (one, two) in [
            ("Index.JS", "index.js"),
            ("\u{e9}.js", "e\u{301}.js"),
            ("\u{17f}.js", "S.js"),
            ("\u{212a}", "k"),
        ] {
            assert_eq!(folded(one), folded(two), "{one}");
        }
        assert_ne!(folded("a.js"), folded("b.js"));
    }

    #[test]
    fn only_plain_paths_pass() {
        for good in [
            "index.js",
            "dist/main.js",
            "a-b/c_d.json",
            "é.js",
            ".hidden",
            "console.js",
            "com10",
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        let long = "a".repeat(101);
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            "./x",
            "a//b",
            "a/",
            "a\\b",
            "C:x",
            "C:/x",
            "x.js. ",
            "x.",
            "x ",
            "a\0",
            "a\nb",
            "con",
            "CON",
            "nul.txt",
            "a/aux/b",
            "com1",
            "LPT9.js",
            "com¹",
            "con .js",
            "a?",
            "a*",
            "//server/share",
            "\\\\?\\C:\\x",
            "CONIN$",
            &long,
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
