import { readFileSync } from 'node:fs';

/** The part of JSON Schema that docs/affinity-result.schema.json uses. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

const ROOT = JSON.parse(readFileSync('docs/affinity-result.schema.json', 'utf8')) as Schema;

/** Where a result breaks docs/affinity-result.schema.json, each with its path and the reason. */
export function violations(result: unknown): string[] {
  return check(ROOT, result, '');
}

function check(schema: Schema, value: unknown, path: string): string[] {
  const fail = (reason: string) => [`${path || '/'}: ${reason}`];
  if (schema.$ref !== undefined) return check(definition(schema.$ref), value, path);
  if (schema.anyOf !== undefined) {
    const attempts = schema.anyOf.map((each) => check(each, value, path));
    return attempts.some(({ length }) => length === 0) ? [] : attempts.flat();
  }
  if ('const' in schema && value !== schema.const) return fail(`is not ${schema.const}`);
  if (schema.enum !== undefined && !schema.enum.includes(value)) return fail(`is none of ${schema.enum}`);
  if (schema.type !== undefined && !hasType(value, [schema.type].flat())) return fail(`is no ${schema.type}`);
  if (schema.minimum !== undefined && Number(value) < schema.minimum)
    return fail(`is under ${schema.minimum}`);
  if (Array.isArray(value))
    return value.flatMap((each, index) =>
      schema.items ? check(schema.items, each, `${path}/${index}`) : [],
    );
  if (typeof value === 'object' && value !== null) return checkObject(schema, value, path);
  return [];
}

function checkObject(schema: Schema, value: object, path: string): string[] {
  const { required = [], properties = {}, additionalProperties = true } = schema;
  const missing = required.filter((name) => !(name in value)).map((name) => `${path}/${name}: is missing`);
  const wrong = Object.entries(value).flatMap(([name, member]) => {
    const own = properties[name] ?? additionalProperties;
    if (typeof own !== 'boolean') return check(own, member, `${path}/${name}`);
    return own ? [] : [`${path}/${name}: is unknown`];
  });
  return [...missing, ...wrong];
}

function definition(reference: string): Schema {
  const found = ROOT.$defs?.[reference.replace('#/$defs/', '')];
  if (found === undefined) throw new Error(`no ${reference} in the schema`);
  return found;
}

function hasType(value: unknown, types: readonly string[]): boolean {
  const own = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  return types.includes(own) || (types.includes('integer') && Number.isInteger(value));
}
