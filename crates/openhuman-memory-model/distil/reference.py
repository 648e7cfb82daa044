"""The reference implementation of the model, and what is made with it.

    python reference.py fixtures            writes ../tests/it/fixtures.json
    python reference.py unicode             writes ../src/unicode.rs
    python reference.py evaluate FILE.json  prints retrieval figures for a LoCoMo file (CC BY-NC: never shipped)

Tokens come from the `tokenizers` package, vectors from the table in ../data.
"""

import json
import pathlib
import re
import struct
import sys
import unicodedata

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE.parent / "data" / "minilm-static-256.bin"
UNKNOWN = 100

TEXTS = [
    "",
    " \t\r\n ",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "ETH stood at 3,412.07 USD; my staking plan: 32 ETH, unbonding 27 days.",
    "unaffable embeddings, tokenization & WordPiece",
    "Crème brûlée, naïve café, ÅNGSTRÖM, İstanbul, straße, ẞ",
    "e\u0301 versus \u00e9 and o\u0308\u0323",
    "don't can't it's o'clock rock'n'roll",
    "user@example.com https://example.com/a?b=c#d",
    "[CLS] [SEP] [UNK] [PAD] [MASK]",
    "snake_case, kebab-case, camelCase, dots.and.dots",
    "100% of $5.00 is €4.60 or £3.95 or ¥700",
    "東京都は日本の首都です。",
    "我喜欢 Rust编程",
    "한국어 문장입니다",
    "Привет, как дела? Ёлка",
    "Ελληνικά; ΣΊΣΥΦΟΣ",
    "שָׁלוֹם עולם",
    "مَرْحَبًا بالعالم",
    "हिन्दी में पाठ",
    "ภาษาไทย",
    "emoji 😀 👩\u200d👩\u200d👧 👍🏽 flags 🇩🇪",
    "zero\u200bwidth soft\u00adhyphen byte\ufefforder non\u00a0breaking ideographic\u3000space",
    "control\u0000 \u0007bell \ufffd replacement \u007f delete",
    "a\u2028line b\u2029paragraph c\u0085next",
    "“curly” ‘quotes’ — dashes – and … ellipsis",
    "math: ∑ x² ≤ √π ± ½ × 10⁻³ ÷ 7",
    "ﬁ ligature, ㎏, Ⅻ, ① and ａｂｃ fullwidth！",
    "x" * 100,
    "x" * 101,
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "##ing ##s # ## ###",
    "fn main() { println!(\"{}\", 1 << 4); } // comment",
    "C:\\Users\\name\\file.txt /usr/local/bin ~/.config",
    "2026-11-22T16:36:00Z 192.168.0.1 0xdeadbeef deadbeefdeadbeef",
    "\u1100\u1161\u11a8 각",
    "豈 更 車 \U0002F800",
    "\u037e \u1fef \u212b \u2126",
    "combining\u0338slash \u20d2overlay a\u0903b",
    "\ud7a3\u0b95\u0bcd\u0e01",
    "THE THE the tHe",
]

VECTOR_TEXTS = [
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "ETH stood at 3,412.07 USD; my staking plan: 32 ETH, unbonding 27 days.",
    "Crème brûlée, naïve café, ÅNGSTRÖM, İstanbul, straße, ẞ",
    "東京都は日本の首都です。",
    "emoji 😀 only partly known",
]


class Reference:
    """The model as specified, with the tokenizer of the `tokenizers` package."""

    def __init__(self):
        data = TABLE.read_bytes()
        version, count, dimensions, slots, text_length, _ = struct.unpack_from("<IIIIII", data, 8)
        assert data[:8] == b"OHSTATIC" and version == 1
        at = 32
        offsets = np.frombuffer(data, "<u4", count + 1, at)
        at += 4 * (count + 1) + 2 * slots
        scales = np.frombuffer(data, "<f2", count, at).astype(np.float32)
        at += 2 * count
        text = data[at : at + text_length]
        at += text_length
        self.rows = np.frombuffer(data, np.int8, count * dimensions, at).reshape(count, dimensions) * scales[:, None]
        pieces = [text[start:end].decode("utf-8") for start, end in zip(offsets, offsets[1:])]
        vocabulary = {piece: row for row, piece in enumerate(pieces)}
        self.tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
        self.tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        self.tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def tokens(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def embed(self, text):
        total = self.rows[[token for token in self.tokens(text) if token != UNKNOWN]].sum(axis=0, dtype=np.float64)
        length = np.linalg.norm(total)
        return total / length if length > 0 else total


def write_fixtures(reference):
    tokens = [{"text": text, "tokens": reference.tokens(text)} for text in TEXTS]
    vectors = [
        {"text": text, "vector": [round(float(value), 7) for value in reference.embed(text)]} for text in VECTOR_TEXTS
    ]
    lines = ",\n".join(json.dumps(case) for case in tokens)
    more = ",\n".join(json.dumps(case) for case in vectors)
    path = HERE.parent / "tests" / "it" / "fixtures.json"
    path.write_text(f'{{"tokens":[\n{lines}\n],"vectors":[\n{more}\n]}}\n')


def ranges(accept):
    found = []
    for code in range(0x80, 0x110000):
        if not accept(unicodedata.category(chr(code))):
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def write_unicode_tables(_):
    tables = {
        "REMOVED": ("Other characters (categories Cc, Cf, Co)", lambda c: c in ("Cc", "Cf", "Co")),
        "ACCENTS": ("Nonspacing marks (category Mn)", lambda c: c == "Mn"),
        "PUNCTUATION": ("Punctuation (categories P*)", lambda c: c.startswith("P")),
    }
    out = [
        f"//! Character classes beyond ASCII, from the Unicode Character Database {unicodedata.unidata_version}.",
        "//!",
        "//! Written by `distil/reference.py unicode`; do not edit.",
        "",
    ]
    for name, (title, accept) in tables.items():
        entries = [f"(0x{first:04X}, 0x{last:04X})," for first, last in ranges(accept)]
        out.append(f"/// {title}, as sorted inclusive ranges.")
        out.append("#[rustfmt::skip]")
        out.append(f"pub(crate) static {name}: &[(u32, u32)] = &[")
        out += ["    " + " ".join(entries[at : at + 5]) for at in range(0, len(entries), 5)]
        out += ["];", ""]
    (HERE.parent / "src" / "unicode.rs").write_text("\n".join(out).removesuffix("\n"))


def conversation_turns(conversation):
    for key in sorted((key for key in conversation if re.fullmatch(r"session_\d+", key)), key=lambda k: int(k[8:])):
        for turn in conversation[key]:
            caption = f" [image: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            yield turn["dia_id"], f"{turn['speaker']}: {turn['text']}{caption}"


def evaluate(reference, path):
    """Vector-only turn retrieval: recall at 10, hit at 10 and mean reciprocal rank over the first 50."""
    recall, hits, reciprocal = [], [], []
    for item in json.loads(pathlib.Path(path).read_text()):
        ids, texts = zip(*conversation_turns(item["conversation"]))
        vectors = np.stack([reference.embed(text) for text in texts])
        normal = {re.sub(r"D(\d+):0*(\d+)", r"D\1:\2", name): at for at, name in enumerate(ids)}
        for question in item["qa"]:
            names = [f"D{s}:{t}" for s, t in re.findall(r"D(\d+):0*(\d+)", " ".join(question["evidence"]))]
            wanted = {normal[name] for name in names if name in normal}
            if not wanted:
                continue
            ranked = np.argsort(-(vectors @ reference.embed(question["question"])), kind="stable")[:50].tolist()
            found = wanted.intersection(ranked[:10])
            recall.append(len(found) / len(wanted))
            hits.append(bool(found))
            reciprocal.append(next((1 / (at + 1) for at, row in enumerate(ranked) if row in wanted), 0))
    print(
        f"questions {len(recall)}  R@10 {np.mean(recall):.3f}  hit@10 {np.mean(hits):.3f}  MRR {np.mean(reciprocal):.3f}"
    )


def main():
    commands = {"fixtures": write_fixtures, "unicode": write_unicode_tables, "evaluate": evaluate}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](Reference(), *sys.argv[2:])


if __name__ == "__main__":
    main()
