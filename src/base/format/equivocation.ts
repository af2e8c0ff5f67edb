/**
 * Equivocation: two claims that one validator signed for the same place and that differ. No honest
 * node makes such a pair, so the pair itself convicts whoever holds the key; nothing else has to be
 * believed. On the ledger it is the arguments of `system.reportEquivocation`:
 *
 * `{"height","kind","round","validator","claims":[{"blockHash"|"prepared","signature"}, ...]}`
 *
 * | field | meaning |
 * |---|---|
 * | `validator` | did:key of the validator |
 * | `kind` | `proposal`, `prepare`, `commit` or `roundChange` |
 * | `blockHash` | hash of what was proposed or voted for; none in a round change |
 * | `prepared` | round change only: `{"blockHash","round"}`, or null for "nothing prepared" |
 * | `signature` | hexadecimal, over the claim's message (message.ts) |
 *
 * The claims stand in the order of their messages' bytes, so one pair has one text.
 */
import { z } from "zod";
import { bytesToHex, compareBytes, hexToBytes } from "../bytes.ts";
import { LedgerError } from "../errors.ts";
import { type Hash, hash32Pattern } from "../hash.ts";
import { signatureBytes, type Verifier } from "../keys.ts";
import { didOf, publicKeyOf } from "./did.ts";
import { encodeJson, type JsonValue } from "./json.ts";
import { type Claim, claimMessage, type Signed } from "./message.ts";
import { sameClaim } from "./signing-record.ts";

/** Two different claims of one validator for one place. */
export type Equivocation = readonly [first: Signed<Claim>, second: Signed<Claim>];

const HashText = z.string().regex(hash32Pattern);
const SignatureText = z.string().regex(new RegExp(`^[0-9a-f]{${2 * signatureBytes}}$`));
const Place = z.int().min(0);
const BlockClaim = z.strictObject({ blockHash: HashText, signature: SignatureText });
const RoundChangeClaim = z.strictObject({
  prepared: z.strictObject({ blockHash: HashText, round: Place }).nullable(),
  signature: SignatureText,
});
const head = { height: Place, round: Place, validator: z.string().max(100) };

/** Schema of the arguments of `system.reportEquivocation`. */
export const EquivocationReport = z.discriminatedUnion("kind", [
  z.strictObject({
    ...head,
    kind: z.enum(["proposal", "prepare", "commit"]),
    claims: z.tuple([BlockClaim, BlockClaim]),
  }),
  z.strictObject({
    ...head,
    kind: z.literal("roundChange"),
    claims: z.tuple([RoundChangeClaim, RoundChangeClaim]),
  }),
]);

/** A pair as it is reported. */
export type EquivocationReport = z.infer<typeof EquivocationReport>;

/** Tells whether two signed claims contradict each other: same place and kind, different content. */
export function contradict(first: Signed<Claim>, second: Signed<Claim>): boolean {
  return (
    first.validator === second.validator &&
    first.kind === second.kind &&
    first.height === second.height &&
    first.round === second.round &&
    !sameClaim(first, second)
  );
}

/** Returns the text of a pair, in RFC 8785 form; the same for both orders. */
export function encodeEquivocation(pair: Equivocation, chainId: Hash): string {
  const sorted = [...pair].sort((left, right) =>
    compareBytes(claimMessage(left, chainId), claimMessage(right, chainId)),
  );
  const { validator, kind, height, round } = pair[0];
  const claims = sorted.map(claimJson);
  return encodeJson({ claims, height, kind, round, validator: didOf(validator) });
}

/** Returns the pair that a report tells of. @throws {LedgerError} KEY_INVALID */
export function equivocationOf(report: EquivocationReport): Equivocation {
  const { height, round } = report;
  const validator = publicKeyOf(report.validator);
  const signed = (signature: string) => ({ validator, signature: hexToBytes(signature) });
  const [first, second] =
    report.kind === "roundChange"
      ? report.claims.map(({ prepared, signature }): Signed<Claim> => {
          const reported = prepared ?? undefined;
          return { kind: report.kind, height, round, prepared: reported, ...signed(signature) };
        })
      : report.claims.map(({ blockHash, signature }): Signed<Claim> => {
          return { kind: report.kind, height, round, blockHash, ...signed(signature) };
        });
  return [first as Signed<Claim>, second as Signed<Claim>];
}

/**
 * Checks that a pair convicts its validator on one chain.
 *
 * @throws {LedgerError} EQUIVOCATION_INVALID
 */
export function verifyEquivocation(
  pair: Equivocation,
  context: { readonly chainId: Hash; readonly verifier: Verifier },
): void {
  const { chainId, verifier } = context;
  if (!contradict(...pair)) throw invalid("the two claims do not contradict each other");
  for (const claim of pair)
    if (!verifier.verify(claimMessage(claim, chainId), claim.signature, claim.validator))
      throw invalid("a signature does not hold on this chain");
}

/** Takes the claim out of a message that carries more, such as a block. */
export function claimOf(message: Signed<Claim>): Signed<Claim> {
  const { kind, height, round, validator, signature } = message;
  if (kind !== "roundChange")
    return { kind, height, round, blockHash: message.blockHash, validator, signature };
  return { kind, height, round, prepared: message.prepared, validator, signature };
}

function claimJson(claim: Signed<Claim>): JsonValue {
  const signature = bytesToHex(claim.signature);
  if (claim.kind !== "roundChange") return { blockHash: claim.blockHash, signature };
  const { prepared } = claim;
  return {
    prepared: prepared === undefined ? null : { ...prepared },
    signature,
  };
}

function invalid(reason: string): LedgerError<"EQUIVOCATION_INVALID"> {
  return new LedgerError("EQUIVOCATION_INVALID", { reason });
}
