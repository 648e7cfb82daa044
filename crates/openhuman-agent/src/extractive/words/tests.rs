use super::*;

fn plain(text: &str) -> Vec<String> {
    words(text).into_iter().map(|word| word.plain).collect()
}

fn content(question: &str) -> Vec<String> {
    content_words(question, false)
        .into_iter()
        .map(|word| word.plain)
        .collect()
}

#[test]
fn words_are_runs_of_letters_and_digits() {
    assert_eq!(plain("Version 1.5, 32 ETH."), ["version", "1.5", "32", "eth"]);
    assert_eq!(plain("l’été à Gießen"), ["l", "ete", "a", "giessen"]);
    assert_eq!(plain("cafe\u{301} = café"), ["cafe", "cafe"]);
    assert_eq!(plain("…—!"), Vec::<String>::new());
    assert_eq!(words(&"x".repeat(500))[0].plain.len(), 64);
}

#[test]
fn symbols_and_numbers_are_known() {
    let found = words("Sell ETH at 2000");
    assert_eq!(
        found
            .iter()
            .map(|word| (word.capitals, word.number))
            .collect::<Vec<_>>(),
        [(false, false), (true, false), (false, false), (false, true)]
    );
}

#[test]
fn only_content_words_count() {
    assert_eq!(content("What did I note about staking?"), ["staking"]);
    assert_eq!(
        content("How long does the water barrel last?"),
        ["water", "barrel", "last"]
    );
    assert_eq!(content("What don't I know about ETH?"), ["eth"]);
    assert_eq!(content("Which wallets do I need?"), ["wallets"]);
    assert!(content("Worum geht es?").is_empty());
    assert_eq!(content("Find my notes"), ["find", "notes"]);
    assert!(content_words("Please summarise this text in short:", true).is_empty());
}

#[test]
fn other_languages_have_their_own_stop_words() {
    assert_eq!(content("Wann pflanze ich die Tomaten?"), ["pflanze", "tomaten"]);
    assert_eq!(
        content("Quand est-ce que je plante les tomates ?"),
        ["plante", "tomates"]
    );
    assert_eq!(
        content("¿Cuándo planto los tomates en el jardín?"),
        ["planto", "tomates", "jardin"]
    );
    // An English question keeps words that are empty elsewhere.
    assert_eq!(
        content("When did my plants die in the war?"),
        ["plants", "die", "war"]
    );
}
