/**
 * Who may vote at each height, and what becomes of every call of the system contract: a model of
 * its own, written from the rules (docs/adr 0020, 0021, 0025), that follows the blocks that are
 * final. It knows the calls that this world makes; arguments that are malformed are not among them.
 */
import { publicKeyOf } from "../../../src/base/format/did.ts";
import type { Claim } from "../../../src/base/format/message.ts";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import { administratorKey, peerKey, validatorKey } from "./chain.ts";
import { isSignedBy, readyBytes, signedBytes } from "./signed-bytes.ts";

/** A member or candidate, by its two keys. */
type Row = { readonly validator: string; readonly peer: string };

type Change =
  | {
      readonly kind: "admit";
      readonly candidate: {
        readonly id: string;
        readonly validatorKey: string;
        readonly peerKey: string;
      };
    }
  | { readonly kind: "add" | "remove"; readonly ids: readonly string[] };

type Moment = { readonly height: number; readonly timeMs: number };
type Ready = { readonly height: number; readonly blockHash: string; readonly signature: string };
type ReportedClaim = {
  readonly blockHash?: string;
  readonly prepared?: { readonly blockHash: string; readonly round: number } | null;
  readonly signature: string;
};
/** Arguments of a report of equivocation. */
export type Report = {
  readonly height: number;
  readonly round: number;
  readonly kind: Claim["kind"];
  readonly validator: string;
  readonly claims: readonly [ReportedClaim, ReportedClaim];
};

/** An hour: so long does the word of a candidate hold. */
const readyMsMax = 3_600_000;
const readyHeightsMax = 1_024;
const reportsMax = 16;

/** What a refused call ends with. */
class Refusal extends Error {}

/** Id of the member that runs a node. */
export function memberId(node: number): string {
  return `m${node}`;
}

/** Follows the calls of the system contract. */
export class SetModel {
  readonly #chainId: string;
  readonly #administrators: ReadonlySet<string>;
  #members: Map<string, Row>;
  #candidates = new Map<string, Row>();
  /** Time of the block with the last word of each candidate. */
  readonly #ready = new Map<string, number>();
  /** Approvals of open changes, by their text. */
  readonly #open = new Map<string, Set<string>>();
  /** Places for which each validator is on record, with the height of the block that says so. */
  readonly #reports = new Map<string, Map<string, number>>();
  readonly #sets: { readonly from: number; readonly validators: readonly string[] }[];
  /** Changes of the set that took effect. */
  applied = 0;

  constructor(options: {
    readonly chainId: string;
    readonly initial: readonly number[];
    readonly administrators: number;
  }) {
    const { chainId, initial, administrators } = options;
    this.#chainId = chainId;
    const keys = Array.from({ length: administrators }, (_, index) => administratorKey(index));
    this.#administrators = new Set(keys);
    this.#members = new Map(
      initial.map((node) => [
        memberId(node),
        { validator: validatorKey(node), peer: peerKey(node) },
      ]),
    );
    this.#sets = [{ from: 1, validators: this.#sorted() }];
  }

  /** Validators of a height, as far as the final blocks tell. */
  at(height: number): readonly string[] {
    const set = this.#sets.findLast(({ from }) => from <= height);
    return set?.validators ?? [];
  }

  /** Validators of the next height. */
  get current(): readonly string[] {
    return this.#sets.at(-1)?.validators ?? [];
  }

  isCandidate(id: string): boolean {
    return this.#candidates.has(id);
  }

  /** A candidate that said lately that it is ready. */
  isReady(id: string): boolean {
    return this.#candidates.has(id) && this.#ready.has(id);
  }

  hasApproved(administrator: number, change: string): boolean {
    return this.#open.get(change)?.has(administratorKey(administrator)) === true;
  }

  /** Validators that are on record for having contradicted themselves. */
  get reported(): readonly string[] {
    return [...this.#reports.keys()];
  }

  /** Tells whether a report could add nothing to the state after a height. */
  isMoot(validator: string, report: Report, height: number): boolean {
    const known = this.#reports.get(validator) ?? new Map<string, number>();
    const count = [...known.values()].filter((recorded) => recorded <= height).length;
    return count >= reportsMax || (known.get(placeOf(report)) ?? Infinity) <= height;
  }

  /** Keys of the state that the calls so far must have left, ascending. */
  expectedKeys(): string[] {
    const row = (table: string) => (id: string) => `system/${table}/${id}`;
    return [
      ...[...this.#members.keys()].map(row("member")),
      ...[...this.#candidates.keys()].map(row("candidate")),
      ...[...this.#ready.keys()].map(row("ready")),
      ...this.#sets.map(({ from }) => `system/validators/${from.toString(16).padStart(12, "0")}`),
    ].sort();
  }

  /** Tells whether a key may send calls of the system contract now. */
  isSender(key: string): boolean {
    const rows = [...this.#members.values(), ...this.#candidates.values()];
    return this.#administrators.has(key) || rows.some(({ peer }) => peer === key);
  }

  /** Executes a call. @returns The outcome that its receipt must have. */
  execute(transaction: Transaction, at: Moment): string {
    const { method, sender, argsJson } = transaction;
    const args: unknown = JSON.parse(argsJson);
    try {
      if (method === "approveChange") this.#approve(sender, argsJson, at);
      else if (method === "declareReady") this.#declareReady(sender, args as Ready, at);
      else if (method === "reportEquivocation") this.#report(args as Report, at);
      else throw new Refusal("CONTRACT_METHOD_UNKNOWN");
    } catch (error) {
      if (error instanceof Refusal) return error.message;
      throw error;
    }
    return "ok";
  }

  #approve(sender: string, text: string, at: Moment): void {
    const { change } = JSON.parse(text) as { readonly change: Change };
    const approvals = this.#open.get(text) ?? new Set();
    if (approvals.has(sender)) throw new Refusal("SYSTEM_CHANGE_APPROVED_BEFORE");
    const count = this.#administrators.size;
    // ceil(2n/3), as with validators.
    const isDue = 3 * (approvals.size + 1) >= 2 * count;
    const effect = this.#effectOf(change, at);
    if (isDue) {
      effect();
      this.#open.delete(text);
    } else this.#open.set(text, approvals.add(sender));
  }

  /** @returns What makes the change. @throws {Refusal} When it does not fit. */
  #effectOf(change: Change, at: Moment): () => void {
    if (change.kind === "admit") return this.#admission(change.candidate);
    const { kind, ids } = change;
    const since = this.#sets.at(-1)?.from ?? 1;
    if (since > 1 && at.height <= since) throw new Refusal("SYSTEM_CHANGE_TOO_SOON");
    const members = new Map(this.#members);
    for (const id of ids) {
      if (kind === "add") members.set(id, this.#readyCandidate(id, at));
      else if (!members.delete(id)) throw new Refusal("SYSTEM_MEMBER_UNKNOWN");
    }
    if (members.size === 0) throw new Refusal("SYSTEM_MEMBERS_TOO_FEW");
    return () => {
      this.#members = members;
      for (const id of ids) {
        this.#candidates.delete(id);
        this.#ready.delete(id);
      }
      this.#sets.push({ from: at.height + 1, validators: this.#sorted() });
      this.applied += 1;
    };
  }

  #admission(candidate: Extract<Change, { kind: "admit" }>["candidate"]): () => void {
    const { id } = candidate;
    if (this.#members.has(id) || this.#candidates.has(id)) throw new Refusal("SYSTEM_ID_TAKEN");
    const row = {
      validator: publicKeyOf(candidate.validatorKey),
      peer: publicKeyOf(candidate.peerKey),
    };
    return () => this.#candidates.set(id, row);
  }

  #readyCandidate(id: string, { timeMs }: Moment): Row {
    const candidate = this.#candidates.get(id);
    if (candidate === undefined) throw new Refusal("SYSTEM_CANDIDATE_UNKNOWN");
    const saidMs = this.#ready.get(id);
    if (saidMs === undefined || timeMs - saidMs > readyMsMax)
      throw new Refusal("SYSTEM_CANDIDATE_NOT_READY");
    return candidate;
  }

  #declareReady(sender: string, { height, blockHash, signature }: Ready, at: Moment): void {
    const found = [...this.#candidates].find(([, { peer }]) => peer === sender);
    if (found === undefined) throw new Refusal("SYSTEM_CANDIDATE_UNKNOWN");
    const [id, { validator }] = found;
    const isRecent = height < at.height && height >= at.height - readyHeightsMax;
    const message = readyBytes(this.#chainId, { height, blockHash, peerKey: sender });
    if (!isRecent || !isSignedBy(validator, message, Buffer.from(signature, "hex")))
      throw new Refusal("SYSTEM_READY_INVALID");
    this.#ready.set(id, at.timeMs);
  }

  #report(report: Report, at: Moment): void {
    const { height } = report;
    const key = publicKeyOf(report.validator);
    if (!this.at(height).includes(key)) throw new Refusal("SYSTEM_MEMBER_UNKNOWN");
    const [first, second] = report.claims.map((claim) =>
      signedBytes(this.#chainId, claimOf(report, claim)),
    ) as [Buffer, Buffer];
    const areSigned = [first, second].every((message, index) =>
      isSignedBy(key, message, Buffer.from(report.claims[index]?.signature ?? "", "hex")),
    );
    if (!areSigned || first.equals(second)) throw new Refusal("SYSTEM_EQUIVOCATION_INVALID");
    const known = this.#reports.get(key) ?? new Map();
    const place = placeOf(report);
    if (known.has(place)) throw new Refusal("SYSTEM_EQUIVOCATION_KNOWN");
    if (known.size >= reportsMax) throw new Refusal("SYSTEM_EQUIVOCATIONS_TOO_MANY");
    this.#reports.set(key, known.set(place, at.height));
  }

  #sorted(): readonly string[] {
    return [...this.#members.values()].map(({ validator }) => validator).sort();
  }
}

function placeOf({ kind, height, round }: Report): string {
  return `${kind} ${height}/${round}`;
}

function claimOf({ kind, height, round }: Report, said: ReportedClaim): Claim {
  if (kind === "roundChange") return { kind, height, round, prepared: said.prepared ?? undefined };
  return { kind, height, round, blockHash: said.blockHash ?? "" };
}
