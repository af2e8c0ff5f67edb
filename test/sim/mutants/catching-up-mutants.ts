/** Bugs in catching up, in what follows from a lost signing record, and in telling which clock is off. */
import type { Mutant } from "./mutant.ts";

const follower = "node/chain-follower.ts";
const shell = "node/shell.ts";
const votes = "node/votes.ts";
const peerClocks = "node/peer-clocks.ts";
const download = "node/snapshot-download.ts";
const downloadPeers = "node/download-peers.ts";
const need = "node/snapshot-need.ts";

/** The bugs. */
export const catchingUpMutants: readonly Mutant[] = [
  {
    name: "a peer that lied is asked again at once",
    file: follower,
    replace: "this.#penalties.set(peer, this.#clock.nowMs() + penaltyMs);",
    by: "this.#penalties.set(peer, this.#clock.nowMs() - penaltyMs);",
  },
  {
    name: "who keeps silent about its height holds up the others",
    file: follower,
    replace: "await this.#within(all, Math.min(graceMs, this.#patienceMs));",
    by: "await this.#within(all);",
  },
  {
    name: "who connects is not asked for its height while others keep silent",
    file: follower,
    replace: "await this.#within(Promise.race([all, first]), Math.min(firstMs, this.#patienceMs));",
    by: "await this.#within(Promise.race([all, first]));",
  },
  {
    name: "how many may lie about pruned blocks is a matter of the genesis",
    file: need,
    replace: "return count > faultyMax(Math.min(validators.length, memberCount));",
    by: "return count > faultyMax(memberCount);",
  },
  {
    name: "peers that pruned what there is not are believed",
    file: need,
    replace: 'if (!isShown || told !== this.#told) return "none";',
    by: 'if (told !== this.#told) return "none";',
  },
  {
    name: "a node that was away hears too few of a set that grew",
    file: need,
    replace: "faultyMax(Math.min(validators.length, memberCount))",
    by: "faultyMax(validators.length)",
  },
  {
    name: "a wrong manifest is verified again and again",
    file: need,
    replace: "this.#resting.set(peer, Number.POSITIVE_INFINITY);",
    by: "this.#resting.set(peer, 0);",
  },
  {
    name: "former validators lead a node from its ledger to another one",
    file: "ledger/snapshot-verify.ts",
    replace: "if (validatorsHash(sets.at(tip.height + 1)) !== tip.nextValidatorsHash)",
    by: "if (validatorsHash(sets.at(tip.height + 1)) === '')",
  },
  {
    name: "who pruned an earlier block counts for the next one",
    file: follower,
    replace: "filter((peer) => this.#pruned.get(peer) === height);",
    by: "filter((peer) => this.#pruned.has(peer) && height >= 0);",
  },
  {
    name: "gives up its blocks for a snapshot unasked",
    file: need,
    replace: 'const isWanted = height === 0 || config.sync === "snapshot";',
    by: 'const isWanted = height >= 0 || config.sync === "snapshot";',
  },
  {
    name: "waits for a snapshot of a peer that keeps silent",
    file: downloadPeers,
    replace: "return isLate || this.#isResting(peer);",
    by: "return (isLate && patienceMs < 0) || this.#isResting(peer);",
  },
  {
    name: "waits for a snapshot that nobody has any more but who keeps silent",
    file: download,
    replace: "if (haveSome && silentMs >= stalledMs) return",
    by: "if (haveSome && silentMs >= 1e9) return",
  },
  {
    name: "the only one that has a snapshot is left to rest",
    file: download,
    replace: "if (last !== undefined) return last;",
    by: "if (last !== undefined && silentMs < 0) return last;",
  },
  {
    name: "a chunk of a snapshot ends where who sent it wants",
    file: "ledger/snapshot-verify.ts",
    replace: "if (to !== proof.after?.key)",
    by: "if (to === from && to !== proof.after?.key)",
  },
  {
    name: "a download goes on at what is no key",
    file: "ledger/snapshot-writer.ts",
    replace: 'if (from !== undefined && from !== "" && !isStateKey(from))',
    by: 'if (from !== undefined && from === "" && !isStateKey("key"))',
  },
  {
    name: "waits for ever for what nobody answers",
    file: download,
    replace: "if (silentMs >= silentMsMax) return",
    by: "if (silentMs >= 1e9) return",
  },
  {
    name: "time without anybody counts as silence",
    file: download,
    replace: "if (connected.length === 0) this.#lastMs = nowMs;",
    by: "if (connected.length < 0) this.#lastMs = nowMs;",
  },
  {
    name: "goes on with a download that the ledger has passed",
    file: download,
    replace: "const isBegun = (writer.height ?? 0) > aboveHeight;",
    by: "const isBegun = (writer.height ?? 0) > 0;",
  },
  {
    name: "a download that the ledger has passed is kept",
    file: "node/snapshot-replacement.ts",
    replace: "return height > ledgerHeight;",
    by: "return height > Math.min(0, ledgerHeight);",
  },
  {
    name: "waits for ever for others though it has a ledger",
    file: download,
    replace: "return this.#hasLedger && nowMs - this.#metMs >= aloneMsMax;",
    by: "return this.#hasLedger && nowMs - this.#metMs >= 1e9;",
  },
  {
    name: "looks for a snapshot among the members of the genesis only",
    file: "node/snapshot-start.ts",
    replace: "startNetwork(start, fetchingPeersOf(start, known)),",
    by: "startNetwork(start, fetchingPeersOf(start, known && undefined)),",
  },
  {
    name: "begins with a snapshot while it still starts",
    file: "node/run-order.ts",
    replace: "this.#restarting ??= this.#started",
    by: "this.#restarting ??= Promise.resolve()",
  },
  {
    name: "begins with a snapshot while it stops",
    file: "node/run-order.ts",
    replace: "const begin = () => (this.#isEnding ? undefined : run());",
    by: "const begin = () => run();",
  },
  {
    name: "a download given up for nothing newer",
    file: download,
    replace:
      'if (outcome === "stalled" && !(await this.#begin(Math.max(begun, aboveHeight)))) continue;',
    by: 'if (outcome === "stalled" && !(await this.#begin(aboveHeight))) return undefined;',
  },
  {
    name: "the first snapshot that is offered is begun",
    file: download,
    replace: "const isWaiting = this.#peers.isAsking && looks < looksForSlow;",
    by: "const isWaiting = this.#peers.isAsking && looks < 0;",
  },
  {
    name: "a silent peer holds up a download",
    file: download,
    replace: "if (!(await this.#atMost(this.#patienceMs, fetching)))",
    by: "if (!(await this.#atMost(1e9, fetching)))",
  },
  {
    name: "a chunk that comes late is thrown away",
    file: download,
    replace: "else if (writer.next === from) {",
    by: "else if (writer.next === from && tookMs < patienceMs) {",
  },
  {
    name: "over a slow line more and more peers are asked for the same",
    file: download,
    replace: "this.#patienceMs *= patienceFactor;",
    by: "this.#patienceMs += 0;",
  },
  {
    name: "a late chunk of another snapshot makes a liar",
    file: download,
    replace: "if (bytes === undefined || writer.height !== height) return;",
    by: "if (bytes === undefined) return;",
  },
  {
    name: "manifests of silent peers waited for one after the other",
    file: download,
    replace: "await this.#atMost(lookMs, Promise.all(",
    by: "await this.#atMost(1e9, Promise.all(",
  },
  {
    name: "blocks of a range not held against their heights",
    file: follower,
    replace: "if (block.header.height !== expected)",
    by: "if (block.header.height < 0)",
  },
  {
    name: "an empty answer taken for progress",
    file: follower,
    replace: "if (blocks.length === 0 && this.#sink.tip.height < from)",
    by: "if (blocks.length < 0)",
  },
  {
    name: "blocks appended after the stop",
    file: follower,
    replace: "if (this.#stopped || block.header.height <= this.#sink.tip.height) return;",
    by: "if (block.header.height <= this.#sink.tip.height) return;",
  },
  {
    name: "peers asked on and on after a fault of this node",
    file: follower,
    replace: "this.#restUntilMs = this.#clock.nowMs() + faultRestMs;",
    by: "this.#restUntilMs = this.#clock.nowMs() - faultRestMs;",
  },
  {
    name: "a fault of this node blamed on the peer",
    file: follower,
    replace: "if (isOwnFault(error)) this.#onOwnFault(error);",
    by: "if (isOwnFault(error) && this.#stopped) this.#onOwnFault(error);",
  },
  {
    name: "who could not be asked counts as having nothing more",
    file: follower,
    replace: 'if (outcome !== "progress") return outcome === "lied";',
    by: 'if (outcome !== "progress") return true;',
  },
  {
    name: "votes again when one other told its tip",
    file: shell,
    replace: "if (answered.length < enough) return;",
    by: "if (answered.length < Math.min(1, enough)) return;",
  },
  {
    name: "votes right above the tip after a lost record",
    file: shell,
    replace: "driver.resumeSigningAbove(ledger.tip.height + votes.loss.hiddenHeights);",
    by: "driver.resumeSigningAbove(ledger.tip.height);",
  },
  {
    name: "what was learnt after a lost record is not put on disk",
    file: "node/consensus-driver.ts",
    replace: "await this.#persist(record);",
    by: "await Promise.resolve(record);",
  },
  {
    name: "candidates tell the tip",
    file: shell,
    replace: "const answered = others.filter(({ peer }) => this.#exhausted.has(peer));",
    by: "const answered = [...this.#exhausted].filter((peer) => peer !== peerKey);",
  },
  {
    name: "a node tells itself the tip",
    file: shell,
    replace: "const others = members().filter(({ peer }) => peer !== peerKey);",
    by: 'const others = members().filter(({ peer }) => peer !== "" || peerKey === "");',
  },
  {
    name: "a damaged record taken for whole",
    file: votes,
    replace: "if (!found.isLost && !found.isTorn && !isForgotten) return",
    by: "if (!found.isLost && !isForgotten) return",
  },
  {
    name: "the operator's word on a limit is not heard",
    file: votes,
    replace: "const isForgotten = acceptLostVotes && isLimit(found.record);",
    by: "const isForgotten = acceptLostVotes && isLimit(undefined);",
  },
  {
    name: "a read that failed for a moment ends the voting",
    file: "node/own-fault.ts",
    replace: "return facts.salvageable !== true;",
    by: "return facts.salvageable === undefined;",
  },
  {
    name: "the gate is not told that the pruner could not write",
    file: "node/background-pruner.ts",
    replace: 'if (error.code === "LEDGER_WRITE_FAILED") storage.report(error);',
    by: 'if (error.code === "LEDGER_DIVERGENCE") storage.report(error);',
  },
  {
    name: "a failed read ends the pruner",
    file: "node/background-pruner.ts",
    replace: 'const error = unreadable(cause, "");',
    by: 'const error = unreadable === undefined ? "" : cause;',
  },
  {
    name: "a lost record is thought to hide nothing",
    file: votes,
    replace: "hiddenHeights: acceptLostVotes ? 0 : hiddenHeights",
    by: "hiddenHeights: acceptLostVotes ? hiddenHeights : 0",
  },
  {
    name: "starts without its record where the others are no quorum",
    file: votes,
    replace: "if (!acceptLostVotes && others < quorum)",
    by: "if (acceptLostVotes && others < quorum)",
  },
  {
    name: "a clock that is off is not told",
    file: "node/clock-reasons.ts",
    replace: "if (isWithin) return [];",
    by: "if (isWithin || aheadMs !== 0) return [];",
  },
  {
    name: "a candidate says that it is ready before it has caught up",
    file: "node/ready-declarer.ts",
    replace: "return hasLooked && !catchingUp;",
    by: "return hasLooked || !catchingUp;",
  },
  {
    name: "slow answers are taken for clocks that are off",
    file: peerClocks,
    replace: "if (roundTripMs > roundTripMsMax) return;",
    by: "if (roundTripMs > 1e9) return;",
  },
  {
    name: "the way of an answer is counted to the clock",
    file: peerClocks,
    replace: "askedAtMs + roundTripMs / 2",
    by: "askedAtMs + roundTripMs",
  },
];
