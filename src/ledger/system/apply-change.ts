/**
 * What an approved change does. Every check is made at each approval, so that the first approver
 * hears of a mistake, and once more when the change takes effect.
 */
import type { Did } from "../../base/format/did.ts";
import type { Member } from "../../base/format/genesis.ts";
import type { ValidatorChange } from "../../base/format/validator-change.ts";
import { limits } from "../../base/limits.ts";
import type { StateReader } from "../types.ts";
import {
  readRow,
  readTable,
  validSince,
  type WritableState,
  writeNode,
  writeRow,
  writeValidators,
} from "./tables.ts";
import { type SystemCall, SystemRefusal } from "./types.ts";

/** When a change is made. */
type Moment = Pick<SystemCall, "height" | "timeMs">;

/** Makes a change on a state. @throws {SystemRefusal} When it does not fit the state. */
export function applyChange(state: WritableState, change: ValidatorChange, at: Moment): void {
  switch (change.kind) {
    case "admit":
      admit(state, change.candidate, at);
      break;
    case "withdraw":
      withdraw(state, change.id);
      break;
    case "add":
      add(state, change.ids, at);
      break;
    case "remove":
      remove(state, change.ids, at);
      break;
  }
}

function admit(state: WritableState, candidate: Member, { height }: Moment): void {
  const { id, ...entry } = candidate;
  const candidates = readTable(state, "candidate");
  if (readRow(state, "member", id) !== undefined || readRow(state, "candidate", id) !== undefined)
    throw new SystemRefusal("SYSTEM_ID_TAKEN", `"${id}" is a member or candidate already`);
  if (candidates.length >= limits.candidatesMax)
    throw new SystemRefusal("SYSTEM_CANDIDATES_TOO_MANY", `there are ${candidates.length}`);
  const taken = [entry.validatorKey, entry.peerKey].find((key) => isTaken(state, key));
  if (taken !== undefined || entry.validatorKey === entry.peerKey)
    throw new SystemRefusal("SYSTEM_KEY_TAKEN", `${taken ?? entry.peerKey} has a use already`);
  writeRow(state, ["candidate", id], { ...entry, admittedAtHeight: height });
  writeNode(state, entry.peerKey, candidate);
}

/** One key, one purpose: a key that signs votes must not also sign transactions. */
function isTaken(state: StateReader, key: Did): boolean {
  const isSender = ["account", "device", "node"].some(
    (table) => state.get(`system/${table}/${key}`) !== undefined,
  );
  const rows = [...readTable(state, "member"), ...readTable(state, "candidate")];
  return isSender || rows.some(([, row]) => row.validatorKey === key || row.peerKey === key);
}

function withdraw(state: WritableState, id: string): void {
  const { peerKey } = candidateOf(state, id);
  writeRow(state, ["candidate", id], undefined);
  writeRow(state, ["ready", id], undefined);
  writeNode(state, peerKey, undefined);
}

function add(state: WritableState, ids: readonly string[], at: Moment): void {
  checkSettled(state, at);
  for (const id of ids) {
    const { admittedAtHeight, ...member } = candidateOf(state, id);
    checkReady(state, id, at);
    writeRow(state, ["candidate", id], undefined);
    writeRow(state, ["ready", id], undefined);
    writeRow(state, ["former", id], undefined);
    writeRow(state, ["member", id], member);
  }
  const count = readTable(state, "member").length;
  if (count > limits.validatorsMax)
    throw new SystemRefusal("SYSTEM_MEMBERS_TOO_MANY", `there would be ${count} members`);
  writeValidators(state, at.height + 1);
}

function remove(state: WritableState, ids: readonly string[], at: Moment): void {
  checkSettled(state, at);
  for (const id of ids) {
    const member = readRow(state, "member", id);
    if (member === undefined)
      throw new SystemRefusal("SYSTEM_MEMBER_UNKNOWN", `there is no member "${id}"`);
    const { peerKey, validatorKey } = member;
    const { height: removedAtHeight, timeMs: removedAtMs } = at;
    writeRow(state, ["member", id], undefined);
    writeRow(state, ["former", id], { peerKey, validatorKey, removedAtHeight, removedAtMs });
    writeNode(state, peerKey, undefined);
  }
  if (readTable(state, "member").length === 0)
    throw new SystemRefusal("SYSTEM_MEMBERS_TOO_FEW", "the last member cannot be removed");
  writeValidators(state, at.height + 1);
}

/** A set must have decided a block, and so be there, before it is changed again. */
function checkSettled(state: StateReader, { height }: Moment): void {
  const since = validSince(state);
  if (since > 1 && height <= since)
    throw new SystemRefusal("SYSTEM_CHANGE_TOO_SOON", `the set holds since height ${since} only`);
}

function candidateOf(state: StateReader, id: string) {
  const candidate = readRow(state, "candidate", id);
  if (candidate !== undefined) return candidate;
  throw new SystemRefusal("SYSTEM_CANDIDATE_UNKNOWN", `there is no candidate "${id}"`);
}

function checkReady(state: StateReader, id: string, { timeMs }: Moment): void {
  const ready = readRow(state, "ready", id);
  if (ready !== undefined && timeMs - ready.atMs <= limits.readyMsMax) return;
  const problem = ready === undefined ? "never said" : "did not say lately";
  throw new SystemRefusal("SYSTEM_CANDIDATE_NOT_READY", `"${id}" ${problem} that it is ready`);
}
