/** A block that is known from elsewhere, as it is given on a command line: `HEIGHT:HASH`. */
import { z } from "zod";

const expected = "a height and a block hash such as 12:3f..e0 (64 digits)";

/** Input of an option that takes a block. */
export const checkpoint = z
  .string()
  .regex(/^\d{1,15}:[0-9a-f]{64}$/, expected)
  .transform((text) => {
    const [height = "", hash = ""] = text.split(":");
    return { height: Number(height), hash };
  });
