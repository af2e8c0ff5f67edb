/** `events follow`: what contracts announce, from a place on the ledger on. */
import { z } from "zod";
import { command, directory, directoryOption, wholeNumber } from "./command.ts";
import { clientOf, urlOption, urls } from "./connection.ts";

/** The command. */
export const eventsFollow = command({
  name: "events follow",
  summary: "Prints the events of contracts from a cursor on, then those that come.",
  details:
    "A cursor is height:index, such as 17:0; `next` of the last event handled is where to go on " +
    "after a break. With --json each event is one line.",
  options: [
    ["--from <cursor>", "cursor, or latest for new ones only (default: 0:0)"],
    ["--count <n>", "end after so many events"],
    urlOption,
    directoryOption,
  ],
  examples: ["loopledger events follow", "loopledger events follow --from 17:0 --count 10 --json"],
  input: z.strictObject({
    from: z
      .string()
      .regex(/^(\d{1,15}:\d{1,15}|latest)$/, "a cursor such as 17:0, or latest")
      .default("0:0"),
    count: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(Number.POSITIVE_INFINITY),
    url: urls,
    dir: directory,
  }),
  async run({ from, count, ...place }, terminal) {
    const signal = terminal.interruption();
    let seen = 0;
    for await (const event of clientOf(place).events({ from, signal })) {
      const { height, index, contract, topic, data } = event;
      const place = `${height}:${index}`.padEnd(10);
      terminal.result(event, `${place} ${contract}.${topic} ${JSON.stringify(data)}`);
      seen += 1;
      if (seen >= count) break;
    }
    return 0;
  },
});
