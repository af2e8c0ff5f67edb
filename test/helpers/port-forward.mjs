/**
 * Carries connections into the network namespace this process runs in. The listening socket comes
 * from the parent and belongs to the parent's namespace, whatever this process is in; what is
 * dialled from here is inside. Ends with the parent.
 *
 * Usage, by `fork` only: port-forward.mjs PORT
 */
import { connect } from "node:net";

const port = Number(process.argv[2]);

process.on("disconnect", () => process.exit(0));
process.once("message", (_name, server) => {
  server.on("connection", (outer) => {
    const inner = connect(port, "127.0.0.1");
    // A node that does not run refuses; the client is to see just that.
    inner.on("error", () => outer.resetAndDestroy());
    outer.on("error", () => inner.destroy());
    outer.once("close", () => inner.destroy());
    inner.once("close", () => outer.destroy());
    outer.pipe(inner).pipe(outer);
  });
  process.send("ready");
});
