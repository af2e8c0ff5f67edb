#!/usr/bin/env python3
"""Recomputes formats.json and ed25519-edge.json from the specification alone (see reference.py).

Exit code 0 and a count when all agree; 1 and the first difference if not.
"""
import json
import pathlib
import sys

sys.dont_write_bytecode = True
import reference as ref  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
raw = bytes.fromhex


def plain(value):
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return raw(value["bytes"]) if "bytes" in value else int(value["integer"])
    return value


def check_codec(cases):
    for place, case in enumerate(cases):
        yield f"codec {place}", ref.encode(plain(case["value"])).hex(), case["bytes"]
        yield f"codec {place} decoded", ref.decode(raw(case["bytes"])), plain(case["value"])


def check_json(cases):
    for place, case in enumerate(cases):
        yield f"json {place}", ref.canonical(ref.parse(case["text"])), case["canonical"]


def check_did(cases):
    for case in cases:
        yield "did", ref.did_of(raw(case["publicKey"])), case["did"]
        yield "key of did", ref.key_of(case["did"]).hex(), case["publicKey"]


def check_genesis(case):
    genesis = case["file"]
    yield "genesis state", ref.genesis_state(genesis), case["state"]
    validators = ref.validators_of(genesis)
    yield "validators", [key.hex() for key in validators], case["validators"]
    yield "validators hash", ref.validators_hash(validators).hex(), case["validatorsHash"]
    header = ref.genesis_header(genesis)
    yield "genesis header", header.hex(), case["header"]
    yield "chain id", ref.header_hash(header).hex(), case["chainId"]


def check_transaction(case):
    key, seed = raw(case["sender"]), raw(case["seed"])
    yield "sender", ref.public_key(seed).hex(), case["sender"]
    fields = [case[name] for name in ("nonce", "expiresAtMs", "contract", "method", "argsJson", "gasLimit")]
    body = ref.encode([0, raw(case["chainId"]), key, *fields])
    message = ref.tagged("transaction", body)
    yield "message", message.hex(), case["message"]
    yield "id", ref.sha256(message).hex(), case["id"]
    yield "signature", ref.sign(message, seed).hex(), case["signature"]
    yield "signed bytes", ref.encode([body, raw(case["signature"])]).hex(), case["bytes"]
    yield "arguments", ref.canonical(ref.parse(case["argsJson"])), case["argsJson"]


def check_receipt(case):
    events = [[event["contract"], event["topic"], event["json"]] for event in case["events"]]
    changes = [[one["key"], one["valueHash"] and raw(one["valueHash"])] for one in case["changes"]]
    fields = [raw(case["transactionId"]), case["outcome"], case["gasUsed"], events, changes]
    yield "receipt", ref.encode(fields).hex(), case["bytes"]


HEADER = "chainId height parentHash timestampMs proposer transactionsRoot receiptsRoot stateRoot"
HEADER += " validatorsHash nextValidatorsHash gasUsed"


def check_block(case):
    fields = [case["header"][name] for name in HEADER.split()]
    header = ref.encode([0, *(raw(field) if isinstance(field, str) else field for field in fields)])
    yield "header", header.hex(), case["headerBytes"]
    yield "block hash", ref.header_hash(header).hex(), case["hash"]
    transactions = [raw(one) for one in case["transactions"]]
    yield "transactions root", ref.merkle_root(transactions).hex(), case["header"]["transactionsRoot"]
    yield "block", ref.encode([header, transactions]).hex(), case["bytes"]


def signed_of(case, chain_id):
    head = [chain_id, case["height"], case["round"]]
    if case["kind"] != "roundChange":
        return ref.tagged(case["kind"], ref.encode([*head, raw(case["blockHash"])]))
    prepared = case["prepared"]
    claim = [prepared["round"], raw(prepared["blockHash"])] if prepared else [None, None]
    return ref.tagged("round-change", ref.encode([*head, *claim]))


def wire_of(case, cases, block):
    """Rebuilds a message from its fields; the golden cases share one block and one prepare."""
    by_kind = {one["kind"]: one for one in cases}
    signer = [raw(case["validator"]), raw(case["signature"])]
    vote = lambda one: [one["height"], one["round"], raw(one["blockHash"]), raw(one["validator"]), raw(one["signature"])]
    place = [case["height"], case["round"]]
    if case["kind"] in ("prepare", "commit"):
        return ref.encode([1 if case["kind"] == "prepare" else 2, vote(case)])
    change = lambda one: [one["height"], one["round"]] + (
        [one["prepared"]["round"], raw(one["prepared"]["blockHash"])] if one["prepared"] else [None, None]
    ) + [raw(one["validator"]), raw(one["signature"])]
    prepares = [vote(by_kind["prepare"])]
    if case["kind"] == "proposal":
        changes = [change(one) for one in cases if one["kind"] == "roundChange"]
        return ref.encode([0, *place, *signer, block, changes, prepares])
    has_block = case["prepared"] is not None
    return ref.encode([3, change(case), block if has_block else None, prepares if has_block else []])


def check_messages(cases, golden):
    chain_id, block = raw(golden["genesis"]["chainId"]), raw(golden["block"]["bytes"])
    for case in cases:
        kind = case["kind"]
        signed = signed_of(case, chain_id)
        yield f"signed {kind}", signed.hex(), case["signedBytes"]
        yield f"signature of {kind}", ref.verify(signed, raw(case["signature"]), raw(case["validator"])), True
        yield f"wire {kind}", wire_of(case, cases, block).hex(), case["wire"]


def check_certificate(case, golden):
    signatures = [[one["validatorIndex"], raw(one["signature"])] for one in case["signatures"]]
    fields = [case["height"], case["round"], raw(case["blockHash"]), signatures]
    yield "certificate", ref.encode(fields).hex(), case["bytes"]
    vote = signed_of(case | {"kind": "commit"}, raw(golden["genesis"]["chainId"]))
    for index, signature in signatures:
        key = raw(golden["genesis"]["validators"][index])
        yield f"commit of validator {index}", ref.verify(vote, signature, key), True


def check_ready(case):
    fields = [raw(case["chainId"]), case["height"], raw(case["blockHash"]), raw(case["peerKey"])]
    message = ref.tagged("ready", ref.encode(fields))
    yield "ready statement", message.hex(), case["message"]
    signed = ref.verify(message, raw(case["signature"]), raw(case["validator"]))
    yield "signature of the ready statement", signed, True


def check_changes(cases):
    for case in cases:
        text = ref.canonical(case["change"])
        yield f"id of change {case['change']['kind']}", ref.sha256(text.encode()).hex(), case["id"]


def check_edge(table):
    for row in table["signatures"]:
        text = row["publicKey"]
        # Keys are lowercase text on every interface; other text is no key.
        key = raw(text) if text == text.lower() else b""
        valid = ref.verify(raw(row["message"]), raw(row["signature"]), key)
        yield f"edge vector {row['name']}", valid, row["valid"]
    for row in table["keys"]:
        yield f"edge key {row['name']}", ref.may_enrol(raw(row["publicKey"])), row["enrolled"]


def checks():
    golden = json.loads((HERE / "formats.json").read_text("utf-8"))
    yield from check_codec(golden["codec"])
    yield from check_json(golden["json"])
    yield from check_did(golden["did"])
    yield from check_genesis(golden["genesis"])
    yield from check_transaction(golden["transaction"])
    yield from check_receipt(golden["receipt"])
    yield from check_block(golden["block"])
    yield from check_messages(golden["messages"], golden)
    yield from check_certificate(golden["certificate"], golden)
    yield from check_ready(golden["ready"])
    yield from check_changes(golden["changes"])
    yield from check_edge(json.loads((HERE / "ed25519-edge.json").read_text("utf-8")))


def main():
    count = 0
    for what, computed, golden in checks():
        count += 1
        if computed != golden:
            print(f"{what}:\n  computed {computed}\n  golden   {golden}")
            return 1
    print(f"{count} values agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
