#!/usr/bin/env python3
"""Recomputes merkle.json and state-tree.json from the specification alone.

Written apart from the TypeScript, by recursion from the top where that folds from the bottom, so
that both agree only if the specification (head comments of src/base/proof/*.ts) is enough.
Standard library only. Exit code 0 and a count when all agree; 1 and the first difference if not.
"""
import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- RFC 6962 ---


def merkle_root(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return sha256(b"\x00", leaves[0])
    split = split_of(len(leaves))
    return sha256(b"\x01", merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def merkle_path(leaves, index):
    if len(leaves) == 1:
        return []
    split = split_of(len(leaves))
    if index < split:
        return merkle_path(leaves[:split], index) + [merkle_root(leaves[split:])]
    return merkle_path(leaves[split:], index - split) + [merkle_root(leaves[:split])]


def split_of(size):
    split = 1
    while split * 2 < size:
        split *= 2
    return split


# --- state tree ---


def bits_of(key):
    return [bit for byte in key.encode() for bit in [1] + [byte >> n & 1 for n in range(7, -1, -1)]] + [0]


def leaf_hash(key, value_hash):
    return sha256(b"\x02", value_hash, key.encode())


def inner_hash(split_bit, left, right):
    return sha256(b"\x03", split_bit.to_bytes(2, "big"), left, right)


def state_root(entries):
    """Root over (key, value hash) in any order."""
    if not entries:
        return sha256()
    return subtree([(bits_of(key), leaf_hash(key, value_hash)) for key, value_hash in entries], 0)


def subtree(leaves, bit):
    if len(leaves) == 1:
        return leaves[0][1]
    while len({bits[bit] for bits, _ in leaves}) == 1:
        bit += 1
    sides = [[leaf for leaf in leaves if leaf[0][bit] == side] for side in (0, 1)]
    return inner_hash(bit, subtree(sides[0], bit + 1), subtree(sides[1], bit + 1))


def path_root(path, way, leaf):
    """Root of a path from the top down, with sides given by the bits of `way`."""
    if not path:
        return leaf
    (split_bit, sibling), rest = path[0], path[1:]
    bits = bits_of(way)
    below = path_root(rest, way, leaf)
    if split_bit < len(bits) and bits[split_bit] == 1:
        return inner_hash(split_bit, bytes.fromhex(sibling), below)
    return inner_hash(split_bit, below, bytes.fromhex(sibling))


def range_root(proof, entries):
    """Root of closed nodes and opened leaves in order: the least split bit is on top."""
    opened = [leaf_pair(proof["before"])] if "before" in proof else []
    opened += [(key, bytes.fromhex(value_hash)) for key, value_hash in entries]
    opened += [leaf_pair(proof["after"])] if "after" in proof else []
    hashes = [bytes.fromhex(sibling) for _, sibling in proof["left"]]
    hashes += [leaf_hash(key, value_hash) for key, value_hash in opened]
    hashes += [bytes.fromhex(sibling) for _, sibling in reversed(proof["right"])]
    splits = [split_bit for split_bit, _ in proof["left"]]
    splits += [parting(one, other) for (one, _), (other, _) in zip(opened, opened[1:])]
    splits += [split_bit for split_bit, _ in reversed(proof["right"])]
    return top_down(hashes, splits) if hashes else sha256()


def top_down(hashes, splits):
    if len(hashes) == 1:
        return hashes[0]
    top = splits.index(min(splits))
    left = top_down(hashes[: top + 1], splits[:top])
    return inner_hash(splits[top], left, top_down(hashes[top + 1 :], splits[top + 1 :]))


def leaf_pair(leaf):
    return leaf["key"], bytes.fromhex(leaf["valueHash"])


def parting(one, other):
    pairs = zip(bits_of(one), bits_of(other))
    return next(at for at, (left, right) in enumerate(pairs) if left != right)


# --- checks ---


def check_merkle(case):
    leaves = [bytes.fromhex(leaf) for leaf in case["leaves"]]
    yield "root", merkle_root(leaves).hex(), case["root"]
    for index, path in enumerate(case["paths"]):
        yield f"path {index}", [node.hex() for node in merkle_path(leaves, index)], path


def check_state(case):
    hashed = [(key, sha256(value.encode())) for key, value in case["entries"]]
    keys = [key for key, _ in hashed]
    yield "order", sorted(keys, key=lambda key: key.encode()), keys
    yield "root", state_root(hashed).hex(), case["root"]
    for proof in case["inclusion"]:
        leaf = leaf_hash(proof["key"], dict(hashed)[proof["key"]])
        yield f"inclusion of {proof['key']}", path_root(proof["path"], proof["key"], leaf).hex(), case["root"]
    for proof in case["absence"]:
        key = proof["key"]
        yield f"absence of {key}: not present", key in keys, False
        leaf = leaf_hash(*leaf_pair(proof["leaf"])) if "leaf" in proof else sha256()
        yield f"absence of {key}", path_root(proof["path"], key, leaf).hex(), case["root"]
    for proven in case["ranges"]:
        name = f"range {proven['range']}"
        inside = [[key, value_hash.hex()] for key, value_hash in hashed if in_range(key, proven["range"])]
        yield f"{name}: entries", inside, proven["entries"]
        yield f"{name}: root", range_root(proven["proof"], proven["entries"]).hex(), case["root"]


def in_range(key, bounds):
    above = key.encode() >= bounds["from"].encode()
    return above and ("to" not in bounds or key.encode() < bounds["to"].encode())


def main():
    count = 0
    for name, check in (("merkle.json", check_merkle), ("state-tree.json", check_state)):
        for case in json.loads((HERE / name).read_text("utf-8"))["cases"]:
            for what, computed, golden in check(case):
                count += 1
                if computed != golden:
                    print(f"{name}, {case['name']}, {what}:\n  computed {computed}\n  golden   {golden}")
                    return 1
    print(f"{count} values agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
