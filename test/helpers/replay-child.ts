/** Child process of the kill test: replays a file until it is done or killed. */
import { runGatewayReplay } from "../../src/gateway.ts";
import { nativeVerifier } from "../../src/node/native-crypto.ts";
import { genesis, signerOf } from "./evidence-chain.ts";

const [node = "", directory = "", csvFile = ""] = process.argv.slice(2);
const summary = await runGatewayReplay({
  nodes: [node],
  genesis,
  signer: signerOf(101),
  verifier: nativeVerifier,
  directory,
  csvFile,
  meter: "m1",
  batchCount: 7,
  windowCount: 4,
});
process.stdout.write(JSON.stringify(summary));
