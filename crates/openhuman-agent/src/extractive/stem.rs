//! Reduces English words to a common stem, so that "staking", "stakes" and "staked" are one word.
//!
//! Porter's algorithm with three rules of its successor (`-s`, `-y` and `-ly`), and a short table of irregular forms.
//! A word that is not plain lower-case ASCII is returned as it is.

/// Forms that no suffix rule brings together.
const IRREGULAR: &[(&str, &str)] = &[
    ("bought", "buy"),
    ("built", "build"),
    ("chose", "choose"),
    ("chosen", "choose"),
    ("children", "child"),
    ("feet", "foot"),
    ("gave", "give"),
    ("given", "give"),
    ("grew", "grow"),
    ("grown", "grow"),
    ("held", "hold"),
    ("kept", "keep"),
    ("lost", "lose"),
    ("loss", "lose"),
    ("losses", "lose"),
    ("made", "make"),
    ("men", "man"),
    ("met", "meet"),
    ("paid", "pay"),
    ("ran", "run"),
    ("sent", "send"),
    ("sold", "sell"),
    ("spent", "spend"),
    ("taken", "take"),
    ("taught", "teach"),
    ("took", "take"),
    ("women", "woman"),
    ("written", "write"),
    ("wrote", "write"),
];

const STEP_2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("ization", "ize"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("tional", "tion"),
    ("biliti", "ble"),
    ("entli", "ent"),
    ("ousli", "ous"),
    ("ation", "ate"),
    ("alism", "al"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("alli", "al"),
    ("ator", "ate"),
    ("logi", "log"),
    ("bli", "ble"),
    ("eli", "e"),
];

const STEP_3: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ness", ""),
    ("ful", ""),
];

const STEP_4: &[&str] = &[
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ion", "ism", "ate", "iti", "ous", "ive",
    "ize", "al", "er", "ic", "ou",
];

/// The stem of a lower-case word.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, base)) = IRREGULAR.iter().find(|(form, _)| *form == word) {
        return stem_regular(base);
    }
    stem_regular(word)
}

fn stem_regular(word: &str) -> String {
    let mut word = word.to_owned();
    if word.len() < 3 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word;
    }
    plural(&mut word);
    past_and_participle(&mut word);
    final_y(&mut word);
    double_suffix(&mut word);
    replace(&mut word, STEP_3);
    single_suffix(&mut word);
    final_e(&mut word);
    word
}

fn plural(word: &mut String) {
    if word.ends_with("sses") {
        word.truncate(word.len() - 2);
    } else if word.ends_with("ies") {
        word.truncate(word.len() - if word.len() > 4 { 2 } else { 1 });
    } else if word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") {
        // "gas" and "this" keep their s: the only vowel stands right before it.
        let before = word.len().saturating_sub(2);
        if has_vowel(word.get(..before).unwrap_or_default()) {
            word.pop();
        }
    }
}

fn past_and_participle(word: &mut String) {
    if let Some(base) = word.strip_suffix("eed") {
        if measure(base) > 0 {
            word.pop();
        }
        return;
    }
    let Some(base) = ["ed", "ing"]
        .iter()
        .find_map(|suffix| word.strip_suffix(suffix))
        .filter(|base| has_vowel(base))
    else {
        return;
    };
    word.truncate(base.len());
    let doubled = matches!(word.as_bytes(), [.., a, b] if a == b && !is_vowel_letter(*b));
    if ["at", "bl", "iz"].iter().any(|end| word.ends_with(end)) {
        word.push('e');
    } else if doubled && !word.ends_with(['l', 's', 'z']) {
        word.pop();
    } else if measure(word) == 1 && ends_short(word) {
        word.push('e');
    }
}

fn final_y(word: &mut String) {
    if let [_, .., before, b'y'] = word.as_bytes()
        && !is_vowel_letter(*before)
    {
        word.pop();
        word.push('i');
    }
}

fn double_suffix(word: &mut String) {
    if replace(word, STEP_2) {
        return;
    }
    if let Some(base) = word.strip_suffix("li")
        && base.ends_with(['c', 'd', 'g', 'h', 'k', 'm', 'n', 'r', 't'])
        && measure(base) > 0
    {
        word.truncate(base.len());
    }
}

fn single_suffix(word: &mut String) {
    let Some(base) = STEP_4.iter().find_map(|suffix| {
        let base = word.strip_suffix(suffix)?;
        (*suffix != "ion" || base.ends_with(['s', 't'])).then_some(base)
    }) else {
        return;
    };
    if measure(base) > 1 {
        word.truncate(base.len());
    }
}

fn final_e(word: &mut String) {
    if let Some(base) = word.strip_suffix('e') {
        let measure = measure(base);
        if measure > 1 || (measure == 1 && !ends_short(base)) {
            word.pop();
        }
    }
    if word.ends_with("ll") && measure(word) > 1 {
        word.pop();
    }
}

/// Replaces the first suffix that fits, when enough of the word is left; says whether one fitted.
fn replace(word: &mut String, suffixes: &[(&str, &str)]) -> bool {
    let Some((base, with)) = suffixes
        .iter()
        .find_map(|(suffix, with)| Some((word.strip_suffix(suffix)?, with)))
    else {
        return false;
    };
    if measure(base) > 0 {
        word.truncate(base.len());
        word.push_str(with);
    }
    true
}

fn is_vowel_letter(letter: u8) -> bool {
    matches!(letter, b'a' | b'e' | b'i' | b'o' | b'u')
}

/// For each letter, whether it is a vowel; `y` is one after a consonant.
fn vowels(word: &str) -> impl Iterator<Item = bool> + '_ {
    let mut after_consonant = false;
    word.bytes().map(move |letter| {
        let vowel = is_vowel_letter(letter) || (letter == b'y' && after_consonant);
        after_consonant = !vowel;
        vowel
    })
}

fn has_vowel(word: &str) -> bool {
    vowels(word).any(|vowel| vowel)
}

/// How many times a vowel is followed by a consonant.
fn measure(word: &str) -> usize {
    let mut before = false;
    vowels(word)
        .filter(|vowel| {
            let turn = before && !vowel;
            before = *vowel;
            turn
        })
        .count()
}

/// Whether a word ends with consonant, vowel, consonant, the last not `w`, `x` or `y`.
fn ends_short(word: &str) -> bool {
    let mut last = [true, false, true];
    let mut letters = 0;
    for vowel in vowels(word) {
        last = [last[1], last[2], vowel];
        letters += 1;
    }
    letters >= 3 && last == [false, true, false] && !word.ends_with(['w', 'x', 'y'])
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn forms_of_one_word_share_a_stem() {
        for family in [
            &["stake", "stakes", "staked", "staking"][..],
            &["validator", "validators", "validate", "validating"],
            &["plan", "plans", "planned", "planning"],
            &["quick", "quickly"],
            &["safe", "safely"],
            &["buy", "buys", "buying", "bought"],
            &["try", "tries", "tried"],
            &["tomato", "tomatoes"],
            &["box", "boxes"],
            &["withdraw", "withdraws", "withdrawing"],
            &["withdrawal", "withdrawals"],
            &["leave", "leaving", "leaves"],
            &["key", "keys"],
            &["day", "days"],
            &["fee", "fees"],
            &["lose", "losing", "lost", "losses"],
            &["agree", "agreed", "agrees"],
            &["organize", "organized", "organizing", "organization"],
            &["hope", "hoping", "hoped"],
            &["hop", "hopping", "hopped"],
        ] {
            let stems: Vec<String> = family.iter().map(|word| stem(word)).collect();
            assert!(
                stems.iter().all(|stem| *stem == stems[0]),
                "{family:?}: {stems:?}"
            );
        }
    }

    #[test]
    fn different_words_stay_apart() {
        for (a, b) in [
            ("stake", "stack"),
            ("hope", "hop"),
            ("plan", "plane"),
            ("gas", "gap"),
            ("water", "wait"),
        ] {
            assert_ne!(stem(a), stem(b));
        }
    }

    #[test]
    fn published_examples_of_the_algorithm() {
        for (word, expected) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("feed", "feed"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("filing", "file"),
            ("relational", "relat"),
            ("triplicate", "triplic"),
            ("hopefulness", "hope"),
            ("adoption", "adopt"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("controlling", "control"),
        ] {
            assert_eq!(stem(word), expected, "{word}");
        }
    }

    #[test]
    fn short_and_foreign_words_are_left_alone() {
        for word in [
            "", "a", "is", "gas", "32", "1.5", "été", "straße", "東京", "a1b2s", "s", "ing", "ed",
        ] {
            assert_eq!(stem(word), word);
        }
    }
}
