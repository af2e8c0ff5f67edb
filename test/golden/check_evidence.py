#!/usr/bin/env python3
"""Verifies evidence as docs/EVIDENCE.md tells, apart from the TypeScript (see reference.py).

    check_evidence.py GENESIS BUNDLE [HEIGHT:HASH]
    check_evidence.py --cases FILE

The first form prints the level and the names of the failed checks as JSON. The second reads a list
of {genesis, bundle, checkpoint} (texts) and prints a list of verdicts.
"""
import datetime
import json
import pathlib
import sys

sys.dont_write_bytecode = True
import reference as ref  # noqa: E402

raw = bytes.fromhex


class Failed(Exception):
    """A check does not hold."""


class Checks:
    def __init__(self):
        self.failed = []

    def run(self, name, check, *arguments):
        try:
            return check(*arguments)
        except (Failed, ref.Malformed, KeyError, IndexError, TypeError, ValueError):
            self.failed.append(name)
            return None


def need(condition):
    if not condition:
        raise Failed()


# --- form ---


def read_bundle(text):
    bundle = ref.parse(text)
    fields = {"format", "chainId", "subject", "contracts", "entries", "transactions"}
    need(set(bundle) - {"headers", "validatorChanges"} == fields and bundle["format"] == "loopledger-evidence-v0")
    need(bundle["subject"]["kind"] in ("bill", "entry"))
    need(all(set(one) == {"role", "key", "value", "transaction"} for one in bundle["entries"]))
    fields = {"transaction", "receipt", "index", "size", "transactionPath", "receiptPath"}
    need(all(set(one) == fields | {"header", "certificate"} for one in bundle["transactions"]))
    return bundle


def read_transaction(evidence):
    body_bytes, signature = ref.decode(raw(evidence["transaction"]))
    body = ref.decode(body_bytes)
    need(len(body) == 9 and body[0] == 0 and len(signature) == 64)
    need(ref.canonical(ref.parse(body[7])) == body[7])
    receipt = ref.decode(raw(evidence["receipt"]))
    need(len(receipt) == 5 and all(len(change) == 2 for change in receipt[4]))
    header = ref.decode(raw(evidence["header"]))
    need(len(header) == 12 and header[0] == 0)
    need(all(len(header[at]) == 32 for at in (1, 3, 5, 6, 7, 8, 9, 10)))
    message = ref.tagged("transaction", body_bytes)
    return {"body": body, "message": message, "signature": signature, "receipt": receipt, "header": header}


# --- chain ---


def check_contracts(bundle, genesis):
    hashes = {one["name"]: ref.bundle_hash(one) for one in genesis["contracts"]}
    need(all(hashes[name] == value for name, value in bundle["contracts"].items()))
    need(all(entry["key"].split("/")[0] in bundle["contracts"] for entry in bundle["entries"]))


def check_subject(bundle):
    keys = [entry["key"] for entry in bundle["entries"]]
    need(len(set(keys)) == len(keys) and bundle["subject"]["key"] in keys)


def check_signature(one, chain_id):
    need(one["body"][1] == chain_id)
    need(ref.verify(one["message"], one["signature"], one["body"][2]))


def check_sender(one, genesis):
    did, contract, method = ref.did_of(one["body"][2]), one["body"][5], one["body"][6]
    entry = next((each for each in genesis["accounts"] + genesis["devices"] if each["did"] == did), None)
    methods = next((each["methods"] for each in genesis["contracts"] if each["name"] == contract), {})
    need(entry is not None and set(methods[method]["roles"]) & set(entry["roles"]))


def check_path(evidence, one):
    place = evidence["index"], evidence["size"]
    need(leads(raw(evidence["transaction"]), *place, evidence["transactionPath"]) == one["header"][6])
    need(leads(raw(evidence["receipt"]), *place, evidence["receiptPath"]) == one["header"][7])


def leads(leaf, index, size, path):
    """Root that a path of RFC 6962 leads to, by the recursion of its definition."""
    need(0 <= index < size)
    if size == 1:
        need(path == [])
        return ref.sha256(b"\0", leaf)
    split = 1
    while split * 2 < size:
        split *= 2
    need(path != [])
    sibling = raw(path[-1])
    if index < split:
        return ref.sha256(b"\1", leads(leaf, index, split, path[:-1]), sibling)
    return ref.sha256(b"\1", sibling, leads(leaf, index - split, size - split, path[:-1]))


def check_receipt(one):
    need(one["receipt"][0] == ref.sha256(one["message"]) and one["receipt"][1] == "ok")


def follow_sets(bundle, chain_id, sets):
    for change in bundle.get("validatorChanges", []):
        header = ref.decode(raw(change["header"]))
        check_certificate(change, {"header": header}, sets, chain_id)
        following = [ref.key_of(did) for did in change["validators"]]
        need(header[10] != header[9] and header[10] == ref.validators_hash(following))
        need(header[2] >= sets[-1][0])
        sets.append((header[2] + 1, following))


def check_certificate(evidence, one, sets, chain_id):
    height, round_number, block_hash, signatures = ref.decode(raw(evidence["certificate"]))
    header = one["header"]
    validators = [keys for since, keys in sets if since <= header[2]][-1]
    need(header[1] == chain_id and header[2] == height)
    need(block_hash == ref.header_hash(ref.encode(header)))
    need(header[9] == ref.validators_hash(validators))
    indexes = [index for index, _ in signatures]
    need(indexes == sorted(set(indexes)))
    vote = ref.tagged("commit", ref.encode([chain_id, height, round_number, block_hash]))
    need(all(ref.verify(vote, signature, validators[index]) for index, signature in signatures))
    faulty = (len(validators) - 1) // 3
    need(len(signatures) >= (len(validators) + faulty) // 2 + 1)


def check_entry(entry, proven):
    one = proven[entry["transaction"]]
    need(one is not None and one["body"][5] == entry["key"].split("/")[0])
    need(ref.canonical(ref.parse(entry["value"])) == entry["value"])
    need(dict(one["receipt"][4])[entry["key"]] == ref.sha256(entry["value"].encode()))


# --- bill ---


def instant(moment_ms):
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=moment_ms)
    return moment.isoformat(timespec="milliseconds") + "Z"


def read_bill(key, values):
    bill = values[key]
    need(bill["key"] == key and isinstance(bill["volumeL"], int) and bill["volumeL"] > 0)
    return bill


def check_request(bill, one):
    contract, method, arguments = one["body"][5], one["body"][6], json.loads(one["body"][7])
    need(contract == "billing" and method in ("makeBill", "correctBill"))
    need(arguments["meter"] == bill["meter"] and arguments["month"] == bill["month"])
    need((bill["corrects"] is not None) == (method == "correctBill" or bill["n"] > 1))


def check_boundaries(bill):
    year, month = map(int, bill["month"].split("-"))
    following = f"{year + month // 12:04}-{month % 12 + 1:02}"
    for name, start in (("start", bill["month"]), ("end", following)):
        key = f"metering/reading/{bill['meter']}/{start}-01T00:00:00.000Z"
        need(bill["readings"][name]["key"] == key)


def check_reading(source, values, writers):
    need(values[source["key"]] == source["value"])
    body = writers[source["key"]]["body"]
    need(body[5] == "metering" and body[6] == "report")
    rows = json.loads(body[7])["readings"]
    signed = [f"metering/reading/{row[0]}/{instant(row[1])}" for row in rows if row[2:] == source["value"]]
    need(source["key"] in signed)


def check_consumption(bill, values):
    start, end = bill["readings"]["start"], bill["readings"]["end"]
    used = [after - before for before, after in zip(start["value"], end["value"])]
    for key in bill["breaks"]:
        prefix, jump = f"metering/break/{bill['meter']}/", values[key]
        need(key.startswith(prefix))
        need(start["key"][-24:] < key[len(prefix) :] <= end["key"][-24:])
        offsets = jump.get("capacity") or [one - two for one, two in zip(jump["final"], jump["start"])]
        used = [one + offset for one, offset in zip(used, offsets)]
    need(used[:2] == [bill["energyWh"], bill["volumeL"]])
    need(half_even(used[2] * 1000, used[1]) == bill["flowTempMilliC"])
    need(half_even(used[3] * 1000, used[1]) == bill["returnTempMilliC"])


def half_even(number, divisor):
    quotient, rest = divmod(number, divisor)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient % 2))


def check_tariff(bill, values):
    tariff = values[bill["tariff"]["key"]]
    need(all(tariff[name] == bill["tariff"][name] for name in ("id", "version")))
    need(tariff["validFrom"] <= bill["month"])
    need(tariff["kind"] == values[f"metering/meter/{bill['meter']}"]["kind"])


def check_order(bill, writers):
    own = writers[bill["key"]]
    need(own["header"][4] == bill["madeAtMs"])
    place = lambda one: (one["header"][2], one["index"])
    need(all(key == bill["key"] or place(one) < place(own) for key, one in writers.items()))


def check_bill(checks, bundle, proven):
    values = {entry["key"]: json.loads(entry["value"]) for entry in bundle["entries"]}
    writers = {entry["key"]: proven[entry["transaction"]] for entry in bundle["entries"]}
    key = bundle["subject"]["key"]
    bill = checks.run("bill.form", read_bill, key, values)
    if bill is None:
        return
    checks.run("bill.request", check_request, bill, writers[key])
    checks.run("bill.boundaries", check_boundaries, bill)
    for name in ("start", "end"):
        checks.run(f"bill.{name}Reading", check_reading, bill["readings"][name], values, writers)
    checks.run("bill.consumption", check_consumption, bill, values)
    checks.run("bill.tariff", check_tariff, bill, values)
    checks.run("bill.total", lambda: need(sum(bill["lines"].values()) == bill["totalCents"]))
    checks.run("bill.order", check_order, bill, writers)


# --- checkpoint ---


def check_link(bundle, own, height, trusted):
    linked = {height: trusted}
    for text in reversed(bundle.get("headers", [])):
        header = ref.decode(raw(text))
        if header[2] > height:
            continue
        if header[2] != height or ref.header_hash(raw(text)) != trusted:
            break
        height, trusted = height - 1, header[3]
        linked[height] = trusted
    need(all(linked.get(place) == block for place, block in own.items()))


def verify(genesis_text, bundle_text, checkpoint=None):
    checks = Checks()
    bundle = checks.run("form", read_bundle, bundle_text)
    if bundle is None:
        return {"level": "invalid", "failed": checks.failed}
    genesis = ref.parse(genesis_text)
    chain_id = ref.header_hash(ref.genesis_header(genesis))
    checks.run("chain", lambda: need(raw(bundle["chainId"]) == chain_id))
    checks.run("contracts", check_contracts, bundle, genesis)
    checks.run("subject", check_subject, bundle)
    sets = [(1, ref.validators_of(genesis))]
    checks.run("validators", follow_sets, bundle, chain_id, sets)
    proven = []
    for place, evidence in enumerate(bundle["transactions"]):
        name = f"transactions.{place}"
        one = checks.run(f"{name}.form", read_transaction, evidence)
        proven.append(one)
        if one is None:
            continue
        one["index"] = evidence["index"]
        checks.run(f"{name}.signature", check_signature, one, chain_id)
        checks.run(f"{name}.sender", check_sender, one, genesis)
        checks.run(f"{name}.path", check_path, evidence, one)
        checks.run(f"{name}.receipt", check_receipt, one)
        checks.run(f"{name}.certificate", check_certificate, evidence, one, sets, chain_id)
    for place, entry in enumerate(bundle["entries"]):
        checks.run(f"entries.{place}", check_entry, entry, proven)
    if not checks.failed and bundle["subject"]["kind"] == "bill":
        check_bill(checks, bundle, proven)
    if checks.failed or checkpoint is None:
        return {"level": "invalid" if checks.failed else "certified", "failed": checks.failed}
    return with_checkpoint(checks, bundle, proven, checkpoint)


def with_checkpoint(checks, bundle, proven, checkpoint):
    height, trusted = int(checkpoint.split(":")[0]), raw(checkpoint.split(":")[1])
    own = {one["header"][2]: ref.header_hash(ref.encode(one["header"])) for one in proven}
    checks.run("checkpoint.hash", lambda: need(own.get(height, trusted) == trusted))
    checks.run("checkpoint.link", check_link, bundle, own, height, trusted)
    level = "invalid" if "checkpoint.hash" in checks.failed else "certified"
    return {"level": level if checks.failed else "anchored", "failed": checks.failed}


def main(arguments):
    if arguments[0] == "--cases":
        cases = json.loads(pathlib.Path(arguments[1]).read_text("utf-8"))
        print(json.dumps([verify(one["genesis"], one["bundle"], one.get("checkpoint")) for one in cases]))
        return 0
    genesis, bundle = (pathlib.Path(name).read_text("utf-8") for name in arguments[:2])
    verdict = verify(genesis, bundle, *arguments[2:])
    print(json.dumps(verdict))
    return 1 if verdict["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
