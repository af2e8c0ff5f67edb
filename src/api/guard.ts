/**
 * Keeps web pages away from a node that has no access control yet. A browser is the one program on
 * a machine that does what strangers tell it: a page of another site can send requests to loopback
 * addresses, and with DNS rebinding even read the answers. So the API answers only requests that
 *
 * - name it by a loopback name with its own port (a rebound name is another name), and
 * - do not come from a page of another origin, as far as the browser says so.
 *
 * It does not keep out other programs or users of the same machine.
 */
import type { IncomingHttpHeaders } from "node:http";
import { LedgerError } from "../base/errors.ts";

/** Addresses that only this machine reaches. */
export const loopbackHosts = ["127.0.0.1", "localhost", "::1"] as const;

/**
 * Checks a request's headers.
 *
 * @param port - The port that the node listens on.
 * @throws {LedgerError} API_HOST_REFUSED or API_ORIGIN_REFUSED.
 */
export function checkRequest(headers: IncomingHttpHeaders, port: number): void {
  const names = loopbackHosts.map((host) => `${host.includes(":") ? `[${host}]` : host}:${port}`);
  const host = headers.host?.toLowerCase() ?? "";
  if (!names.includes(host)) {
    const expected = names.join(" ");
    throw new LedgerError("API_HOST_REFUSED", { host: host.slice(0, 200), expected });
  }
  const { origin } = headers;
  if (origin !== undefined && !names.includes(origin.toLowerCase().replace(/^http:\/\//, "")))
    throw new LedgerError("API_ORIGIN_REFUSED", { origin: origin.slice(0, 200) });
  // Simple requests, such as those of an image, carry no Origin; browsers then say this.
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none")
    throw new LedgerError("API_ORIGIN_REFUSED", {
      origin: `sec-fetch-site: ${site}`.slice(0, 200),
    });
}
