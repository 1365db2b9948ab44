import { inspect } from 'node:util';
import { canonicalAddress } from '../net/address.js';
import { canonicalCidr } from '../net/cidr.js';
import { compact, NONE } from './compact.js';
import { printable } from './printable.js';
import type { Refusal } from './problem.js';

/** Tells which field of an object is wrong and why. The parse functions catch it. */
export class FieldError extends Error {
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

/** Bytes of a refused value that a message shows, with the mark for the missing rest. */
const MAX_SHOWN_BYTES = 128;

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * A value inside an untrusted object, with its path. {@link at} and {@link items} go down to a member. The
 * typed readers return a valid value or throw {@link FieldError}. As in the Kubernetes API, null means
 * absent.
 */
export class Field {
  readonly #value: unknown;
  readonly #parent: Field | null;
  readonly #name: string | number;

  constructor(value: unknown, parent: Field | null = null, name: string | number = '') {
    this.#value = value;
    this.#parent = parent;
    this.#name = name;
  }

  /** Built only when a message needs it: nearly every field of a big cluster is valid. */
  get path(): string {
    if (this.#parent === null) return '';
    const { path } = this.#parent;
    if (typeof this.#name === 'number') return `${path}[${this.#name}]`;
    return /^\w+$/.test(this.#name) ? `${path}${path && '.'}${this.#name}` : `${path}["${this.#name}"]`;
  }

  get isAbsent(): boolean {
    return this.#value === undefined || this.#value === null;
  }

  /** Absent, or a text of spaces only: some clients of the API write that for "not set". */
  get isBlank(): boolean {
    return this.isAbsent || (typeof this.#value === 'string' && this.#value.trim() === '');
  }

  /** The member `name`. Members of an absent mapping are absent. */
  at(name: string): Field {
    if (this.isAbsent) return new Field(undefined, this, name);
    if (!isMapping(this.#value)) this.fail(`${show(this.#value)} is not a mapping`);
    return new Field(this.#value[name], this, name);
  }

  /** The names of the members of a mapping. No names if the mapping is absent. */
  names(): readonly string[] {
    if (this.isAbsent) return NONE;
    if (!isMapping(this.#value)) this.fail(`${show(this.#value)} is not a mapping`);
    return Object.keys(this.#value);
  }

  /** The elements of a list. No elements if the list is absent. */
  items(): readonly Field[] {
    if (this.isAbsent) return NONE;
    if (!Array.isArray(this.#value)) this.fail(`${show(this.#value)} is not a list`);
    return this.#value.length === 0
      ? NONE
      : this.#value.map((item: unknown, index) => new Field(item, this, index));
  }

  /** The results of `read` for the elements of a list. */
  each<T>(read: (item: Field) => T): readonly T[] {
    const items = this.items();
    return items.length === 0 ? NONE : items.map(read);
  }

  /** The result of `read` for the field, or `fallback` if the field is absent. */
  optional<T, F>(read: (field: Field) => T, fallback: F): T | F {
    return this.isAbsent ? fallback : read(this);
  }

  string(): string {
    if (typeof this.#value === 'string') return this.#value;
    if (this.isAbsent) this.fail('missing');
    return this.fail(
      `${show(this.#value)} is not a string${isMapping(this.#value) ? '' : '; put it in quotes'}`,
    );
  }

  boolean(): boolean {
    if (typeof this.#value === 'boolean') return this.#value;
    return this.fail(`${show(this.#value)} is not true or false`);
  }

  /** Name of a namespace, a Service or a Service port. */
  label(): string {
    const text = this.string();
    if (DNS_LABEL.test(text)) return text;
    return this.fail(`${show(text)} is not a DNS label (lower-case letters, digits and '-', at most 63)`);
  }

  /** Name of any other object. */
  subdomain(): string {
    const text = this.string();
    if (DNS_SUBDOMAIN.test(text)) return text;
    return this.fail(
      `${show(text)} is not a DNS name (lower-case letters, digits, '-' and '.', at most 253)`,
    );
  }

  oneOf<T extends string>(...choices: readonly T[]): T {
    const choice = choices.find((candidate) => candidate === this.#value);
    if (choice !== undefined) return choice;
    if (this.isAbsent) this.fail(`missing; give one of ${choices.join(', ')}`);
    return this.fail(`${show(this.#value)} is not one of ${choices.join(', ')}`);
  }

  integer(min: number, max: number, what: string): number {
    const value = this.#value;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    if (this.isAbsent) this.fail('missing');
    return this.fail(`${show(value)} is not ${what} (${min}-${max})`);
  }

  port(): number {
    return this.integer(1, 65535, 'a port');
  }

  /** An address of one host in canonical spelling. */
  address(): string {
    const text = this.string();
    return canonicalAddress(text) ?? this.fail(`${show(text)} is not the IP address of a host`);
  }

  /** A range of addresses in CIDR notation. */
  cidr(): string {
    const text = this.string();
    return canonicalCidr(text) ?? this.fail(`${show(text)} is not a range of addresses, such as 10.0.0.0/8`);
  }

  /** A time in RFC 3339, as milliseconds since the epoch. */
  time(): number {
    const text = this.string();
    const time = Date.parse(text);
    return Number.isNaN(time) ? this.fail(`${show(text)} is not a time such as 2026-01-31T12:00:00Z`) : time;
  }

  fail(message: string): never {
    throw new FieldError(this.path, message);
  }
}

/** The results of `read` for the valid fields. Each invalid field is added to `refused`. */
export function readValid<T>(
  fields: readonly Field[],
  refused: Refusal[],
  read: (field: Field) => T,
): readonly T[] {
  const valid: T[] = [];
  for (const field of fields) {
    try {
      valid.push(read(field));
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      refused.push({ field: error.field, message: error.message });
    }
  }
  return compact(valid);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text for the value that is short enough for a log line. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  return printable(typeof value === 'string' ? JSON.stringify(value) : inspect(value), MAX_SHOWN_BYTES);
}
