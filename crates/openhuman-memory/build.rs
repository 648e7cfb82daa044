//! Writes the bare `cl100k_base` vocabulary for `src/chunk/tokenizer.rs`: one length byte a token, then all tokens.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let vocabulary = &bpe_openai::cl100k_base().bpe;
    let count = u32::try_from(vocabulary.num_tokens()).expect("the vocabulary has about 100,000 tokens");
    let lengths =
        (0..count).map(|token| u8::try_from(vocabulary.token_len(token)).expect("tokens are short"));
    let mut bytes: Vec<u8> = lengths.collect();
    for token in 0..count {
        bytes.extend_from_slice(vocabulary.token_bytes(token));
    }
    let directory = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    std::fs::write(Path::new(&directory).join("cl100k.tokens"), bytes).expect("OUT_DIR is writable");
}
