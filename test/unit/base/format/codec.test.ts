/** Numbers have one encoding, whatever type they come in. Everything else: property/codec. */
import { expect, it } from "vitest";
import { bytesToHex } from "../../../../src/base/bytes.ts";
import { decode, encode } from "../../../../src/base/format/codec.ts";

it.each([0, 1, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295])(
  "encodes the bigint %i as the number",
  (value) => {
    expect(bytesToHex(encode(BigInt(value)))).toBe(bytesToHex(encode(value)));
    expect(decode(encode(BigInt(value)), "test")).toBe(value);
  },
);

it("encodes numbers from 2^32 on in eight bytes, as bigint or number", () => {
  expect(bytesToHex(encode(4_294_967_296n))).toBe("cf0000000100000000");
  expect(bytesToHex(encode(4_294_967_296))).toBe("cf0000000100000000");
  expect(bytesToHex(encode(2n ** 64n - 1n))).toBe("cfffffffffffffffff");
});
