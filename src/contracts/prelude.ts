/**
 * The script that runs in a fresh guest before the bundle: takes away what could differ between
 * machines or make code from text, and seals `host`. What stays is an allow-list, so that a new
 * engine cannot add a global unseen.
 *
 * Evaluation of source is also turned off inside the engine once the bundle has run; this script
 * is the first of two locks.
 */

/** Global names a contract sees, besides `host` and what its own bundle defines. */
export const allowedGlobals: readonly string[] = [
  ...["globalThis", "undefined", "NaN", "Infinity", "host"],
  ...["Object", "Function", "Array", "String", "Number", "Boolean", "Symbol", "BigInt"],
  ...["Math", "JSON", "Reflect", "Proxy", "Date", "RegExp", "Promise", "Iterator"],
  ...["Map", "Set", "WeakMap", "WeakSet", "ArrayBuffer", "DataView"],
  ...["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array"],
  ...["Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"],
  ...["Error", "AggregateError", "EvalError", "InternalError", "RangeError"],
  ...["ReferenceError", "SyntaxError", "TypeError", "URIError"],
  ...["parseInt", "parseFloat", "isNaN", "isFinite"],
  ...["encodeURI", "encodeURIComponent", "decodeURI", "decodeURIComponent"],
  ...["escape", "unescape"],
];

/** Source of the script. Views of floating point go, as the bits of NaN are the machine's. */
export const preludeSource = `"use strict";
(() => {
  const { defineProperty, freeze, getPrototypeOf } = Object;
  const fixed = (target, name, value) =>
    defineProperty(target, name, { value, writable: false, configurable: false });
  const refused = { Function() { throw new TypeError("code cannot be made from text"); } }.Function;
  for (const sample of [async function () {}, function* () {}, async function* () {}]) {
    fixed(getPrototypeOf(sample), "constructor", undefined);
  }
  const functionPrototype = getPrototypeOf(function () {});
  fixed(functionPrototype, "constructor", refused);
  fixed(refused, "prototype", functionPrototype);
  freeze(refused);
  globalThis.Function = refused;
  delete Math.random;
  for (const bits of ["16", "32", "64"]) {
    delete DataView.prototype["getFloat" + bits];
    delete DataView.prototype["setFloat" + bits];
  }
  const allowed = ${JSON.stringify(allowedGlobals)};
  for (const name of Reflect.ownKeys(globalThis)) {
    if (allowed.includes(name) || name === Symbol.toStringTag) continue;
    delete globalThis[name];
  }
  for (const name of Reflect.ownKeys(host)) freeze(host[name]);
  fixed(globalThis, "host", freeze(host));
})();
`;
