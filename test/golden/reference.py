"""The formats of the ledger in Python, written from docs/DATA_FORMAT.md and docs/EVIDENCE.md.

Independent of the TypeScript: own MessagePack, own Ed25519, own canonical JSON. Standard library
only, slow and plain on purpose. Used by check_formats.py and check_evidence.py.
"""
import hashlib
import json

from check_trees import merkle_root, sha256, state_root  # noqa: F401


class Malformed(Exception):
    """Bytes or text that are not of the documented form."""


def tagged(tag, data):
    return f"loopledger/v0/{tag}".encode() + b"\0" + data


# --- tuples: MessagePack, shortest forms only ---


def encode(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return head(value, 0x00, 0x80, [(0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)])
    if isinstance(value, str):
        data = value.encode()
        return head(len(data), 0xA0, 32, [(0xD9, 1), (0xDA, 2), (0xDB, 4)]) + data
    if isinstance(value, bytes):
        return head(len(value), None, 0, [(0xC4, 1), (0xC5, 2), (0xC6, 4)]) + value
    parts = b"".join(encode(element) for element in value)
    return head(len(value), 0x90, 16, [(0xDC, 2), (0xDD, 4)]) + parts


def head(number, fixed, fixed_end, wider):
    if number < 0:
        raise Malformed("negative")
    if number < fixed_end:
        return bytes([fixed | number])
    for first, width in wider:
        if number < 256**width:
            return bytes([first]) + number.to_bytes(width, "big")
    raise Malformed("too large")


def decode(data):
    """Decodes, and holds the result against the only encoding of it."""
    value, end = decode_at(data, 0, 0)
    if end != len(data) or encode(value) != data:
        raise Malformed("not canonical")
    return value


def decode_at(data, at, depth):
    if at >= len(data) or depth > 8:
        raise Malformed("too short or too deep")
    first, at = data[at], at + 1
    if first < 0x80:
        return first, at
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
    if 0x90 <= first < 0xA0:
        return decode_tuple(data, at, first & 15, depth)
    if 0xA0 <= first < 0xC0:
        return decode_text(data, at, first & 31)
    kinds = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
    kinds |= {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}
    if first not in kinds:
        raise Malformed("type byte")
    number, at = int.from_bytes(take(data, at, kinds[first]), "big"), at + kinds[first]
    if first >= 0xDC:
        return decode_tuple(data, at, number, depth)
    if first >= 0xD9:
        return decode_text(data, at, number)
    if first >= 0xCC:
        return number, at
    return take(data, at, number), at + number


def take(data, at, count):
    if at + count > len(data):
        raise Malformed("too short")
    return data[at : at + count]


def decode_text(data, at, count):
    try:
        return take(data, at, count).decode(), at + count
    except UnicodeDecodeError as error:
        raise Malformed("UTF-8") from error


def decode_tuple(data, at, count, depth):
    values = []
    for _ in range(count):
        value, at = decode_at(data, at, depth + 1)
        values.append(value)
    return values, at


# --- JSON ---


def canonical(value):
    """RFC 8785 for the permitted JSON."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(element) for element in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def parse(text):
    """Parses the permitted JSON."""

    def refuse(_):
        raise Malformed("not an integer")

    def integer(digits):
        if abs(int(digits)) > 2**53 - 1 or digits == "-0":
            raise Malformed("integer out of range")
        return int(digits)

    def unique(pairs):
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys) or "__proto__" in keys:
            raise Malformed("keys")
        return dict(pairs)

    try:
        value = json.loads(
            text, parse_float=refuse, parse_constant=refuse, parse_int=integer, object_pairs_hook=unique
        )
        canonical(value).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise Malformed("JSON") from error


# --- Ed25519 without cofactor ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    if x * x % P != square or (x == 0 and sign == 1):
        return None
    return P - x if x & 1 != sign else x


def add(one, other):
    """Adds points as (X, Y, Z) with x = X/Z and y = Y/Z: no inverse in the loop."""
    (x1, y1, z1), (x2, y2, z2) = one, other
    z, c, d = z1 * z2 % P, x1 * x2 % P, y1 * y2 % P
    e = D * c * d % P
    f, g = z * z - e, z * z + e
    cross = (x1 + y1) * (x2 + y2) - c - d
    return z * f * cross % P, z * g * (d + c) % P, f * g % P


def times(scalar, point):
    result = (0, 1, 1)
    while scalar > 0:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def point_of(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = recover_x(y, sign) if y < P else None
    return None if x is None else (x, y, 1)


def bytes_of(point):
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def is_zero(point):
    return point[0] == 0 and point[1] == point[2]


def is_small(point):
    return is_zero(times(8, point))


BASE = (recover_x(4 * pow(5, -1, P) % P, 0), 4 * pow(5, -1, P) % P, 1)


def challenge(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def verify(message, signature, key):
    if len(signature) != 64 or len(key) != 32:
        return False
    scalar, point = int.from_bytes(signature[32:], "little"), point_of(key)
    if scalar >= L or point is None or is_small(point):
        return False
    k = challenge(signature[:32], key, message)
    computed = add(times(scalar, BASE), times(k, (P - point[0], point[1], 1)))
    return not is_small(computed) and bytes_of(computed) == signature[:32]


def secret_scalar(seed):
    digest = bytearray(hashlib.sha512(seed).digest())
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return int.from_bytes(digest[:32], "little"), bytes(digest[32:])


def public_key(seed):
    return bytes_of(times(secret_scalar(seed)[0], BASE))


def sign(message, seed):
    scalar, prefix = secret_scalar(seed)
    nonce = challenge(prefix, message)
    commitment = bytes_of(times(nonce, BASE))
    k = challenge(commitment, public_key(seed), message)
    return commitment + ((nonce + k * scalar) % L).to_bytes(32, "little")


def may_enrol(key):
    point = point_of(key)
    return point is not None and not is_small(point) and is_zero(times(L, point))


# --- did:key ---

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def did_of(key):
    number, digits = int.from_bytes(b"\xed\x01" + key, "big"), ""
    while number > 0:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return "did:key:z" + digits


def key_of(did):
    number = 0
    for digit in did.removeprefix("did:key:z"):
        number = number * 58 + BASE58.index(digit)
    return number.to_bytes(34, "big")[2:]


# --- genesis, header ---


def without(value, *names):
    return {name: field for name, field in value.items() if name not in names}


def genesis_state(genesis):
    state = {"system/chain/info": {"name": genesis["name"], "engineHash": genesis["engineHash"]}}
    administrators = [one["did"] for one in genesis["accounts"] if "administrator" in one["roles"]]
    state["system/chain/administrators"] = sorted(administrators)
    voters = sorted(genesis["members"], key=lambda member: key_of(member["validatorKey"]))
    state["system/validators/000000000001"] = [member["validatorKey"] for member in voters]
    for member in genesis["members"]:
        state[f"system/member/{member['id']}"] = without(member, "id")
        node = {"member": member["id"], "name": member["name"], "roles": ["node"], "status": "active"}
        state[f"system/node/{member['peerKey']}"] = node
    for role, description in genesis["roles"].items():
        state[f"system/role/{role}"] = {"description": description}
    for table in ("account", "device"):
        for entry in genesis[f"{table}s"]:
            state[f"system/{table}/{entry['did']}"] = without(entry, "did") | {"status": "active"}
    for contract in genesis["contracts"]:
        value = without(contract, "name", "source") | {"bundleHash": bundle_hash(contract)}
        state[f"system/contract/{contract['name']}"] = value
    for name, value in genesis["parameters"].items():
        state[f"system/parameter/{name}"] = value
    return [[key, canonical(state[key])] for key in sorted(state, key=lambda key: key.encode())]


def bundle_hash(contract):
    return sha256(contract["source"].encode()).hex()


def validators_of(genesis):
    return sorted(key_of(member["validatorKey"]) for member in genesis["members"])


def validators_hash(validators):
    return sha256(tagged("validators", encode(validators)))


def genesis_header(genesis):
    zero, empty = bytes(32), merkle_root([])
    root = state_root([(key, sha256(value.encode())) for key, value in genesis_state(genesis)])
    validators = validators_hash(validators_of(genesis))
    time = genesis["timestampMs"]
    return encode([0, zero, 0, zero, time, zero, empty, empty, root, validators, validators, 0])


def header_hash(header):
    return sha256(tagged("block", header))
