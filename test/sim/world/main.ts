/** What `test/sim/run.mjs` needs of the simulator, in one module. */
export { watchWorld } from "../../model/traced-world.ts";
export { type FaultKind, faultKinds, planOf, reduced } from "./plan.ts";
export { cutOptions, noCuts, shrink } from "./shrink.ts";
export { runWorld } from "./world.ts";
