/** All injected bugs. */
import { catchingUpMutants } from "./catching-up-mutants.ts";
import { justificationMutants } from "./justification-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { rulesMutants } from "./rules-mutants.ts";
import { shellMutants } from "./shell-mutants.ts";
import { signingMutants } from "./signing-mutants.ts";

/** The table; names are unique. */
export const mutants: readonly Mutant[] = [
  ...justificationMutants,
  ...rulesMutants,
  ...signingMutants,
  ...shellMutants,
  ...catchingUpMutants,
];
