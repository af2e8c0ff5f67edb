/**
 * docs/HTTP_API.md is made from the route table. When this fails, the table has changed: run
 * `UPDATE_DOCS=1 npx vitest run test/unit/api/http-api-page.test.ts` and read the difference.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { z } from "zod";
import { commonErrors } from "../../../src/api/problem.ts";
import type { Route } from "../../../src/api/route.ts";
import { routes } from "../../../src/api/routes.ts";
import { errorTable } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";

const file = new URL("../../../docs/HTTP_API.md", import.meta.url);

const head = `# HTTP API

Made from the route table in \`src/api/routes.ts\`; a test keeps both equal. The same as OpenAPI 3.1: \`GET /openapi.json\`.

- The node listens on loopback only and has no access control yet: whoever can run programs on the machine can use it. It answers only
  under a loopback name with its own port, and not to pages of other origins.
- Bytes are lowercase hexadecimal text, identities \`did:key\`, times UTC milliseconds. State values, arguments and events are JSON with
  integers within 2^53 and unique keys.
- Every error is \`application/problem+json\`: \`{code, facts, meaning, next, status}\`. All codes: [ERRORS.md](ERRORS.md). Any request may
  meet ${commonErrors.map((code) => `\`${code}\``).join(", ")}.
- Limits: a transaction ${limits.transactionBytesMax} bytes, address and headers ${limits.apiHeaderBytesMax} bytes, ${limits.apiEventClientsMax} event clients, ${limits.apiConnectionsMax} connections.
- What a node answers is one node's word unless it comes with a proof. [EVIDENCE.md](EVIDENCE.md) says how to verify one; the client
  (\`loopledger/client\`) does it: \`waitFinal\`, \`final\`, \`provenState\`.

| route | for |
|---|---|
`;

function pageOf(rows: readonly Route[]): string {
  const list = rows.map(
    ({ method, path, doc }) => `| \`${method} ${path}\` | ${firstSentence(doc)} |`,
  );
  return `${head}${list.join("\n")}\n\n${rows.map(sectionOf).join("\n")}`;
}

const firstSentence = (doc: string) => `${doc.split(/[.;:]( |$)/)[0]}.`;

function sectionOf(row: Route): string {
  const { method, path, doc, answers, errors = [] } = row;
  const inputs = [...inputsOf("path", row.params), ...inputsOf("query", row.query)];
  if (row.takesTransaction)
    inputs.push(
      "| body | `application/octet-stream` | yes | The signed bytes of one transaction. |",
    );
  const inputTable =
    inputs.length === 0
      ? ""
      : `\n| input | name | required | meaning |\n|---|---|---|---|\n${inputs.join("\n")}\n`;
  const answerList = Object.entries(answers).map(([status, { doc: text, type, schema }]) => {
    const form = fieldsOf(z.toJSONSchema(schema, { io: "output" }) as JsonSchema);
    return `- **${status}** \`${type ?? "application/json"}\` ${text}${form === "" ? "" : `\n  \`${form}\``}`;
  });
  const codes = errors.map((code) => `\`${code}\` (${errorTable[code].httpStatus})`).join(", ");
  const refusals = codes === "" ? "" : `\nCodes: ${codes}.\n`;
  return `## ${method} ${path}\n\n${doc}\n${inputTable}\n${answerList.join("\n")}\n${refusals}`;
}

function inputsOf(place: string, schema: z.ZodObject | undefined): string[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input" }) as JsonSchema;
  return Object.entries(properties).map(([name, { description = "" }]) => {
    expect([place, name, description]).not.toEqual([place, name, ""]);
    return `| ${place} | \`${name}\` | ${required.includes(name) ? "yes" : "no"} | ${description} |`;
  });
}

type JsonSchema = {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly type?: string;
  readonly const?: unknown;
  readonly description?: string;
};

/** Writes the form of an answer on one line: names, a question mark where optional. */
function fieldsOf(schema: JsonSchema): string {
  const { properties, required = [], items } = schema;
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) {
    const forms = choices.map(fieldsOf).filter((form) => form !== "");
    return [...new Set(forms)].join(" or ");
  }
  if (items !== undefined) return `[${fieldsOf(items)}]`;
  if (properties === undefined) return "";
  const fields = Object.entries(properties).map(([name, inner]) => {
    const form = inner.const === undefined ? fieldsOf(inner) : JSON.stringify(inner.const);
    return `${name}${required.includes(name) ? "" : "?"}${form === "" ? "" : `: ${form}`}`;
  });
  return `{${fields.join(", ")}}`;
}

it("documents every route as it is", () => {
  const page = pageOf(routes);
  if (process.env.UPDATE_DOCS === "1") writeFileSync(file, page);
  expect(readFileSync(file, "utf8")).toBe(page);
});

it("names only codes that exist, and each once a route", () => {
  for (const { errors = [] } of routes) {
    expect(errors.filter((code) => !Object.hasOwn(errorTable, code))).toEqual([]);
    expect(new Set([...errors, ...commonErrors]).size).toBe(errors.length + commonErrors.length);
  }
});
