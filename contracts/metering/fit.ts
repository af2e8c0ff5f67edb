/**
 * The fit check: registers only rise with time, counted as totals across breaks.
 *
 * Input is the stretch between two readings that are already on the ledger, with all that lies
 * between them. Outside of the stretch nothing can change, as totals there move together.
 */
import { type Break, breakOffset, type Registers } from "./layout.ts";

/** A reading or a break at its place in time. */
export type Mark =
  | { readonly instantMs: number; readonly reading: Registers }
  | { readonly instantMs: number; readonly jump: Break };

const registerNames = ["energyWh", "volumeL", "flowIntegralLitreC", "returnIntegralLitreC"];

/**
 * Tells what does not fit in a sequence of marks: undefined, or the name of the first register
 * that goes back and the instant where it does.
 *
 * @param marks - In order of time; at one instant the break comes before the reading.
 */
export function misfit(
  marks: readonly Mark[],
): { readonly register: string; readonly instantMs: number } | undefined {
  for (const [index, register] of registerNames.entries()) {
    const instantMs = misfitOfRegister(marks, index);
    if (instantMs !== undefined) return { register, instantMs };
  }
  return undefined;
}

/** Walks one register; totals are relative to the first mark, so the offset begins at 0. */
function misfitOfRegister(marks: readonly Mark[], index: number): number | undefined {
  let offset = 0;
  let least = Number.NEGATIVE_INFINITY;
  for (const mark of marks) {
    const known = totalAt(mark, index, offset);
    if (known !== undefined) {
      // A register that counts to its capacity shows at most capacity - 1 before it rolls over.
      if (known < least || (known === least && isRollOver(mark))) return mark.instantMs;
      least = known;
    }
    if ("jump" in mark) offset += breakOffset(mark.jump, index);
  }
  return undefined;
}

/** The total that a mark proves, or undefined for a register that did not roll over there. */
function totalAt(mark: Mark, index: number, offset: number): number | undefined {
  if ("reading" in mark) return offset + (mark.reading[index] as number);
  if (mark.jump.kind === "replacement") return offset + (mark.jump.final[index] as number);
  const capacity = mark.jump.capacity[index] as number;
  return capacity === 0 ? undefined : offset + capacity;
}

function isRollOver(mark: Mark): boolean {
  return "jump" in mark && mark.jump.kind === "rollOver";
}
