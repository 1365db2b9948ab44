/** The query of a request is wrong. The message names the field and says what is allowed. */
export class BadQuery extends Error {
  override readonly name = 'BadQuery';
}

export interface QueryField<Value> {
  /** The allowed values, for messages: `a number from 0 to 10`. */
  readonly allowed: string;
  /** The value if the query does not have the field. */
  readonly absent: Value;
  /** @returns undefined if the text is not allowed */
  parse(text: string): Value | undefined;
}

/** The field of all listings that may be of one Service only; null for all. */
export const service: QueryField<string | null> = {
  allowed: 'the namespace/name of a Service',
  absent: null,
  parse: (text) => (/^[^/]+\/[^/]+$/.test(text) ? text : undefined),
};

/**
 * Reads the query of a request. Each field may be given once.
 * @throws BadQuery for a field that is unknown, is given twice, or has a value that is not allowed
 */
export function readQuery<Values extends object>(
  query: URLSearchParams,
  fields: { readonly [Name in keyof Values]: QueryField<Values[Name]> },
): Values {
  const names = Object.keys(fields) as (keyof Values & string)[];
  for (const name of query.keys()) {
    if (!Object.hasOwn(fields, name))
      throw new BadQuery(`${name}: no such field; there are: ${names.join(' ')}`);
  }
  const read = (name: keyof Values & string) =>
    [name, readField(query.getAll(name), name, fields[name])] as const;
  return Object.fromEntries(names.map(read)) as Values;
}

function readField<Value>(values: readonly string[], name: string, field: QueryField<Value>): Value {
  const [text] = values;
  if (text === undefined) return field.absent;
  if (values.length > 1) throw new BadQuery(`${name}: given ${values.length} times; give it once`);
  const value = field.parse(text);
  if (value === undefined) throw new BadQuery(`${name}: ${JSON.stringify(text)} is not ${field.allowed}`);
  return value;
}
