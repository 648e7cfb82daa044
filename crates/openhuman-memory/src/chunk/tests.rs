use proptest::prelude::*;

use super::*;

fn check(text: &str, sizes: ChunkSizes) {
    let chunks = split_with(text, sizes);
    let mut rebuilt = String::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let part = &text[chunk.range.clone()];
        assert_eq!(
            chunk.tokens,
            count_tokens(part),
            "reported tokens of chunk {index}"
        );
        assert!(
            chunk.tokens <= sizes.max_tokens,
            "chunk {index} has {} tokens",
            chunk.tokens
        );
        assert!(!chunk.fresh().is_empty(), "chunk {index} adds nothing");
        let repeated = &text[chunk.range.start..chunk.fresh().start];
        assert!(
            count_tokens(repeated) <= sizes.overlap_tokens,
            "overlap of chunk {index}"
        );
        rebuilt.push_str(&text[chunk.fresh()]);
    }
    assert_eq!(rebuilt, text);
    assert_eq!(chunks, split_with(text, sizes));
}

fn sentences(count: usize) -> String {
    (0..count)
        .map(|n| format!("Sentence number {n} tells a short story about the river. "))
        .collect()
}

#[test]
fn an_empty_text_has_no_chunks() {
    assert!(split("").is_empty());
    assert_eq!(split("  \n").len(), 1);
}

#[test]
fn prose_is_cut_between_sentences_and_overlaps() {
    let text = sentences(200);
    let chunks = split(&text);
    assert!(chunks.len() > 3);
    for chunk in &chunks {
        let part = text[chunk.range.clone()].trim();
        assert!(part.starts_with("Sentence") && part.ends_with('.'), "{part}");
    }
    for chunk in &chunks[1..] {
        let repeated = count_tokens(&text[chunk.range.start..chunk.fresh().start]);
        assert!((40..=OVERLAP_TOKENS).contains(&repeated), "{repeated}");
    }
    for chunk in &chunks[..chunks.len() - 1] {
        assert!(chunk.tokens > 450, "{}", chunk.tokens);
    }
}

#[test]
fn a_heading_starts_a_chunk_without_overlap_once_the_chunk_is_filled() {
    let text = format!(
        "# One\n\n{}\n\n# Two\n\n{}\n\n# Three\n\nshort\n\n# Four\n\nshort\n",
        sentences(20),
        sentences(3)
    );
    let chunks = split(&text);
    assert!(text[chunks[1].range.clone()].starts_with("# Two"));
    assert_eq!(chunks[1].overlap, 0);
    assert_eq!(chunks[1].heading, ["Two"]);
    // Small sections share a chunk.
    assert_eq!(chunks.len(), 2);
}

#[test]
fn paragraphs_are_preferred_to_sentences() {
    let paragraph = format!("{}\n\n", sentences(12));
    let text = paragraph.repeat(10);
    for chunk in split(&text) {
        assert_eq!(chunk.fresh().start % paragraph.len(), 0);
    }
}

#[test]
fn code_and_tables_that_fit_are_kept_whole() {
    let code = format!("```rust\n{}```\n", "let value = compute(1, 2);\n\n".repeat(40));
    let table = format!("| a | b |\n|---|---|\n{}", "| one | two |\n".repeat(70));
    for block in [code, table] {
        let tokens = count_tokens(&block);
        assert!((300..=MAX_TOKENS).contains(&tokens), "{tokens}");
        let text = format!("{}\n\n{block}\n{}", sentences(25), sentences(30));
        check(&text, ChunkSizes::default());
        let start = text.find(&block).unwrap();
        let whole = split(&text)
            .iter()
            .any(|c| c.range.start <= start && c.range.end >= start + block.len());
        assert!(whole, "{block}");
    }
}

#[test]
fn code_that_does_not_fit_is_cut_between_lines() {
    let text = format!("```\n{}```\n", "some_function(argument);\n".repeat(400));
    let chunks = split(&text);
    assert!(chunks.len() > 2);
    for chunk in &chunks {
        assert!(text[..chunk.range.end].ends_with('\n'));
    }
    check(&text, ChunkSizes::default());
}

#[test]
fn text_without_any_boundary_still_fits() {
    for text in [
        "x".repeat(20_000),
        "abcdefghij".repeat(3_000),
        "\u{65e5}\u{672c}\u{8a9e}".repeat(4_000),
        "=".repeat(30_000),
        " ".repeat(60_000),
        "\n".repeat(20_000),
        "\r\n".repeat(20_000),
        "\u{1f1e9}\u{1f1ea}".repeat(3_000),
        format!("e{}", "\u{301}".repeat(9_000)),
        "'s".repeat(5_000),
        "!'".repeat(9_000),
        "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(800),
        "\t\u{2028} \u{a0}\r".repeat(12),
        "' \t\u{1d10c}!\u{a0}\t=".repeat(500),
        format!("{}'s dog", "!".repeat(5_000)),
    ] {
        check(&text, ChunkSizes::default());
        check(
            &text,
            ChunkSizes {
                max_tokens: 64,
                overlap_tokens: 16,
            },
        );
    }
}

#[test]
fn combining_marks_stay_with_their_letter() {
    let text = "e\u{301}a\u{308}o\u{302} ".repeat(1_500);
    for chunk in split(&text) {
        assert!(!text[chunk.range].starts_with(['\u{301}', '\u{308}', '\u{302}']));
    }
}

#[test]
fn equal_text_has_an_equal_hash() {
    let first = split("The same words.");
    let second = split("The same words.");
    assert_eq!(first[0].hash, second[0].hash);
    assert_ne!(first[0].hash, split("Other words.")[0].hash);
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z ,.'!?]{1,80}",
        2 => any::<String>(),
        1 => "#{1,6} [a-z]{1,10}\n",
        1 => Just("\n\n".to_owned()),
        1 => "```\n[a-z(){};\n ]{0,200}\n```\n",
        1 => Just("|a|b|\n|-|-|\n|1|2|\n".to_owned()),
        1 => "[\\p{Han}\\p{Thai}\\p{Devanagari}]{1,60}",
        1 => "[ \t\r\n\u{a0}\u{2028}]{1,20}",
        1 => (1usize..400).prop_map(|n| "word ".repeat(n)),
        1 => (1usize..700).prop_map(|n| "z'".repeat(n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_text_keeps_the_promises(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        check(&text, ChunkSizes::default());
        check(&text, ChunkSizes { max_tokens: 64, overlap_tokens: 16 });
    }
}
