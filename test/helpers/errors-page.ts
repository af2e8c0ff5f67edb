/** Writes docs/ERRORS.md from the table of errors. */
import { errorTable } from "../../src/base/errors.ts";

const head = `# Errors

Every error that an operator, a client or a peer can meet. Codes are stable: they are never renamed and never used
again for something else. Programs should look at the code, never at the text. Over HTTP an error has the status given
here; on the command line it ends the program with 1 (2 for wrong usage).

What a contract refuses is not here: its codes begin with the contract's name and stand in receipts.

This page is made from \`src/base/errors.ts\` by \`UPDATE_DOCS=1 npx vitest run test/unit/base/errors.test.ts\`.
`;

/** Returns the text of the page, codes in alphabetical order. */
export function errorsPage(): string {
  const rows = Object.entries(errorTable).sort(([left], [right]) => (left < right ? -1 : 1));
  const sections = rows.map(([code, { httpStatus, facts, meaning, next }]) => {
    const named = facts.length === 0 ? "none" : facts.map((fact) => `\`${fact}\``).join(", ");
    return `### \`${code}\`\n\n${meaning}\n\n- What to do: ${next}\n- HTTP status ${httpStatus}; facts: ${named}\n`;
  });
  return [head, ...sections].join("\n");
}
