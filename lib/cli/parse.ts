import { isIP } from 'node:net';
import { InvalidArgumentError } from 'commander';
import { NODE_PORT_KEYWORDS } from '../controlplane/nodeaddresses.js';
import { WILDCARD } from '../net/address.js';
import { canonicalCidr } from '../net/cidr.js';
import { parseHostPort } from '../net/hostport.js';
import type { PortRange } from '../redirect/rules.js';

/** The listening address of an HTTP server. `off`: the user gave an empty value. */
export type BindTarget = { readonly host: string; readonly port: number } | 'off';

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/**
 * Milliseconds. Timers of Node and of epoll hold less than 2^31 ms (596 h). The rest is a reserve, because
 * other times are added to the drain timeout.
 */
const MAX_DURATION_MS = 576 * 3_600_000;
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|h|m|s)/g;

/**
 * Reads a duration as milliseconds. kube-proxy's flags have this form (Go's time.ParseDuration).
 *
 * @throws InvalidArgumentError if the text is no duration, or is 0, or is above 576h. commander adds the flag
 * and the value.
 */
export function parseDuration(text: string): number {
  const total = DURATION.test(text)
    ? [...text.matchAll(DURATION_PART)].reduce(
        (sum, [, count, unit = '']) => sum + Number(count) * (MILLISECONDS[unit] ?? Number.NaN),
        0,
      )
    : 0;
  const rounded = Math.round(total);
  if (rounded > 0 && rounded <= MAX_DURATION_MS) return rounded;
  throw new InvalidArgumentError(
    'Give a duration above zero and not over 576h (24 days), such as 250ms, 30s, 1m30s or 2h.',
  );
}

/** Like {@link parseDuration}, but accepts `0` and `0s`. */
export function parseDurationOrZero(text: string): number {
  return /^0(?:ms|h|m|s)?$/.test(text) ? 0 : parseDuration(text);
}

/** A reader of whole numbers from `minimum` to `maximum`, both included. */
export function integerBetween(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`Give a whole number from ${minimum} to ${maximum}.`);
  };
}

/** Reads a boolean as kube-proxy's flags do (Go's strconv.ParseBool). */
export function parseBoolean(text: string): boolean {
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(?:0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new InvalidArgumentError('Give true or false.');
}

/** Reads `first-last` or `first+offset`, the two forms of kube-proxy's --proxy-port-range. */
export function parsePortRange(text: string): PortRange {
  const [, firstText, sign, secondText] = /^(\d+)([-+])(\d+)$/.exec(text) ?? [];
  const first = Number(firstText);
  const last = sign === '+' ? first + Number(secondText) : Number(secondText);
  if (first >= 1 && first <= last && last <= 65_535) return { first, last };
  throw new InvalidArgumentError(
    'Give first-last or first+offset within 1 to 65535, such as 20000-29999 or 20000+9999.',
  );
}

/** Reads `address:port` or `[v6]:port`. An empty text turns the server off. */
export function parseBindTarget(text: string): BindTarget {
  if (text === '') return 'off';
  const { host = '', isBracketed = false, port = null } = parseHostPort(text) ?? {};
  if (isIP(host) === (isBracketed ? 6 : 4) && port !== null && port <= 65_535) return { host, port };
  throw new InvalidArgumentError(
    'Give address:port, such as 127.0.0.1:10249 or [::1]:10249, or an empty value for none.',
  );
}

/** The addresses that proxy ports listen on, one for each IP family. */
export interface BindAddresses {
  readonly IPv4: string;
  readonly IPv6: string;
}

/** Reads one address and replaces that family's address. The flag can be given once for each IP family. */
export function parseBindAddress(text: string, previous: BindAddresses = WILDCARD): BindAddresses {
  switch (isIP(text)) {
    case 4:
      return { ...previous, IPv4: text };
    case 6:
      return { ...previous, IPv6: text };
    default:
      throw new InvalidArgumentError('Give one IPv4 or IPv6 address, such as 192.168.1.10 or ::.');
  }
}

/** Reads CIDRs separated by commas. The flag can be given several times: the CIDRs are added up. */
export function parseCidrs(text: string, previous: readonly string[] = []): readonly string[] {
  const cidrs = text.split(',').map(canonicalCidr);
  if (cidrs.every((cidr) => cidr !== null)) return [...previous, ...cidrs];
  throw new InvalidArgumentError('Give CIDRs separated by commas, such as 192.168.0.0/16,fd00::/8.');
}

/** Like {@link parseCidrs}, but also accepts kube-proxy's keywords. */
export function parseNodePortAddresses(text: string, previous: readonly string[] = []): readonly string[] {
  const items = text.split(',').map((item) => nodePortKeyword(item.trim()) ?? canonicalCidr(item));
  if (items.every((item) => item !== null)) return [...previous, ...items];
  throw new InvalidArgumentError(
    `Give CIDRs or ${NODE_PORT_KEYWORDS.join(', ')}, separated by commas, such as 192.168.0.0/16,localhost.`,
  );
}

function nodePortKeyword(text: string): string | undefined {
  return NODE_PORT_KEYWORDS.find((keyword) => keyword === text);
}

/** Collects the paths of a flag that can be given several times. `-` is standard input, as in kubectl. */
export function collectPaths(text: string, previous: readonly string[] = []): readonly string[] {
  if (text === '') throw new InvalidArgumentError('Give the path of a file or a directory.');
  return [...previous, text === '-' ? '/dev/stdin' : text];
}
