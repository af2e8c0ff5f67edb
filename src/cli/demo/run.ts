/** The demo from the first node's start to the last process's end, in the order of its story. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { didOf } from "../../base/format/did.ts";
import type { JsonValue } from "../../base/format/json.ts";
import { runGatewayReplay } from "../../gateway.ts";
import { readText } from "../../node/config.ts";
import { nativeVerifier } from "../../node/native-crypto.ts";
import type { DevnetNode } from "../devnet/layout.ts";
import { startNodeProcess, statusOf, stopNodes, waitReady } from "../devnet/processes.ts";
import { makeBills } from "./bills.ts";
import { checkFigure, readingsExpected } from "./control.ts";
import { Incident } from "./incident.ts";
import { auditEvidence, middleTransactions, tamper } from "./proofs.ts";
import type { DemoRemarks, DemoReport } from "./report.ts";
import { type DemoPlan, type DemoStage, meter, openStage } from "./stage.ts";

const batchCount = 100;
const equalMsMax = 30_000;

/** Runs the demo. @throws {LedgerError} CLI_DEMO_FAILED and what its steps throw. */
export async function runDemo(
  plan: DemoPlan,
): Promise<{ readonly report: DemoReport; readonly remarks: DemoRemarks }> {
  const { devnet, terminal, signal } = plan;
  const stage = await openStage(plan);
  signal.throwIfAborted();
  const startMs = performance.now();
  terminal.note("starting four nodes");
  for (const node of devnet.nodes) startNodeProcess(node, { isTied: true });
  await waitReady(devnet.nodes, { signal });
  await prepare(stage);
  const { readings, readingsPerSecond } = await replay(stage);
  terminal.note("making 23 bills");
  const bills = await makeBills(stage);
  terminal.note("exporting evidence; verifying it with nothing but the genesis file");
  const evidence = await auditEvidence(stage);
  const known = await middleTransactions(stage);
  const nodes = await equalNodes(stage);
  terminal.note(`all nodes at height ${nodes[0]?.height} with equal state; stopping them`);
  await stopNodes(devnet.nodes);
  terminal.note("changing bytes in copies of a ledger; verifying them");
  const { detected, height, remarks } = await tamper(stage, known);
  const seconds = Math.round(performance.now() - startMs) / 1_000;
  return {
    report: { bills, nodes, evidence, tamper: { detected, height }, readings, seconds },
    remarks: { readingsPerSecond, tamper: remarks },
  };
}

/** The operator registers the meter and publishes the tariff. */
async function prepare({ client, keys, trust, signal, dataDirectory }: DemoStage): Promise<void> {
  const { signer } = keys.operator;
  const gateway = didOf(keys.gateway.signer.publicKey);
  const tariffFile = new URL("tariffs/demo.json", dataDirectory);
  const tariff = JSON.parse(readText(fileURLToPath(tariffFile))) as JsonValue;
  const calls = [
    { contract: "metering", method: "registerMeter", args: { meter, kind: "heat", gateway } },
    { contract: "billing", method: "publishTariff", args: tariff },
  ];
  for (const call of calls) {
    const { receipt } = await client.submitAndWait(call, { signer, trust, signal });
    checkFigure(`outcome of ${call.method}`, "ok", receipt.outcome);
  }
}

/** The gateway reports all readings, while one node dies and comes back. */
async function replay(stage: DemoStage) {
  const { devnet, terminal, genesis, keys, signal, dataDirectory } = stage;
  const csv = new URL("heat_meters/dk_heat_meter_660_hourly_2018_2019.csv", dataDirectory);
  const incident = new Incident(devnet.nodes[1] as DevnetNode, terminal);
  terminal.note(`a gateway reports ${readingsExpected} readings in batches of ${batchCount}`);
  const progress = terminal.progress("readings", readingsExpected);
  try {
    const summary = await runGatewayReplay({
      // The node that dies is the gateway's first choice: it has to fail over.
      nodes: [1, 0, 2, 3].map((index) => devnet.nodes[index]?.url ?? ""),
      genesis,
      signer: keys.gateway.signer,
      verifier: nativeVerifier,
      directory: join(devnet.directory, "gateway"),
      csvFile: fileURLToPath(csv),
      meter,
      batchCount,
      signal,
      onProgress: ({ final }) => {
        incident.onProgress(final);
        progress.update(final);
      },
    });
    signal.throwIfAborted();
    checkFigure("readings final", readingsExpected, summary.readings);
    checkFigure("readings refused", 0, summary.refused);
    await incident.end(signal);
    const readingsPerSecond = Math.round(summary.readingsPerSecond);
    return { readings: summary.readings, readingsPerSecond };
  } finally {
    progress.done();
  }
}

/** Waits until all nodes say the same about the same height. */
async function equalNodes({ devnet, signal }: DemoStage): Promise<DemoReport["nodes"]> {
  const endMs = performance.now() + equalMsMax;
  for (;;) {
    const all = await Promise.all(
      devnet.nodes.map(async (node) => {
        const status = await statusOf(node);
        const { height = -1, stateRoot = "" } = status ?? {};
        return { name: node.name, height, stateRoot };
      }),
    );
    const heights = new Set(all.map(({ height }) => height));
    const isLate = performance.now() > endMs;
    if (isLate) checkFigure("nodes at one height", 1, heights.size);
    if (heights.size === 1 && !heights.has(-1)) {
      checkFigure("state roots", 1, new Set(all.map(({ stateRoot }) => stateRoot)).size);
      return all;
    }
    await sleep(50, undefined, { signal });
  }
}
