/**
 * The other half of agreement: a model in which nothing can be decided is safe and worthless. From
 * any state some honest continuation must decide, with the liars silent from then on: the honest
 * validators time out together, the first honest proposer proposes what it may, all vote.
 *
 * What the liars signed before stays usable, as honest validators pass it on.
 */
import { afterClaim, hasCommits, isJustified, maySign } from "./rules.ts";
import { addClaims, ownOf, poolOf, type Setting, type State } from "./state.ts";
import type { ModelClaim, Own, Pool } from "./types.ts";

/** Tells whether honest validators alone can decide from a state, within one turn of everybody. */
export function canDecide(setting: Setting, state: State): boolean {
  const { protocol, roundCount } = setting;
  const pool: Pool = { ...poolOf(setting, state), liarsSilentFrom: roundCount };
  let owns = setting.honest.map((_, place) => ownOf(setting, state, place));
  const last = roundCount + protocol.validatorCount - 1;
  for (let round = 1; round <= last; round += 1) {
    const move = (claimOf: (own: Own) => ModelClaim | undefined) => {
      owns = owns.map((own) => signIfAllowed(setting, pool, own, claimOf(own)));
    };
    move(({ prepared }) => {
      const reported = protocol.carriesPrepared ? prepared : undefined;
      return { kind: "roundChange", round, prepared: reported };
    });
    if (round < roundCount) continue;
    const value = [0, 1].find((offer) => isJustified(protocol, pool, round, offer));
    if (value === undefined) continue;
    const isProposer = (own: Own) => own.validator === protocol.proposerAt(round);
    move((own) => (isProposer(own) ? { kind: "proposal", round, value } : undefined));
    move(() => ({ kind: "prepare", round, value }));
    move(() => ({ kind: "commit", round, value }));
    if (hasCommits(protocol, pool, { round, value })) return true;
  }
  return false;
}

function signIfAllowed(
  { protocol }: Setting,
  pool: Pool,
  own: Own,
  claim: ModelClaim | undefined,
): Own {
  if (claim === undefined || !maySign(protocol, pool, own, claim)) return own;
  addClaims(pool, [claim], own.validator);
  return afterClaim(own, claim);
}
