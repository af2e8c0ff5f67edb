type Option =
  | { readonly type: "flag" }
  | { readonly type: "text"; readonly choices?: readonly string[]; readonly default?: string }
  | { readonly type: "count"; readonly min?: number; readonly default?: number };

type Base<O extends Option> = O extends { type: "flag" }
  ? boolean
  : O extends { type: "count" }
    ? number
    : string;
type Value<O extends Option> =
  | Base<O>
  | (O extends { type: "flag" } | { default: unknown } ? never : undefined);

export type Values<T extends Record<string, Option>> = {
  readonly [Name in keyof T]: Value<T[Name]>;
};

export function helpIfAsked(scriptUrl: string): void;
export function refuseOptions(message: string): never;
export function readOptions<const T extends Record<string, Option>>(options: T): Values<T>;
