import { isIP } from 'node:net';
import type { PinChange, PinName, PinRecord } from '../dataplane/shared/pins.js';

/** A change as it is saved: a list, because names of members would double its length. */
export function savedPin(change: PinChange): readonly unknown[] {
  const { service, portal, client, endpoint } = change;
  if (endpoint === null) return [service, portal, client, endpoint];
  const { pinnedAt, usedAt, timeoutMs, moves } = change;
  return [service, portal, client, endpoint, pinnedAt, usedAt, timeoutMs, moves];
}

/**
 * The pins that saved changes lead to, without those whose time is over.
 * @param changes in their order. What is no change is left out.
 * @param now milliseconds since the epoch. A clock that was set back does not make a pin live longer.
 */
export function restoredPins(changes: Iterable<unknown>, now: number): PinRecord[] {
  const pins = new Map<string, PinRecord>();
  for (const saved of changes) {
    const change = parseChange(saved, now);
    if (change === null) continue;
    if (change.endpoint === null) pins.delete(nameText(change));
    else pins.set(nameText(change), change);
  }
  return [...pins.values()].filter(({ usedAt, timeoutMs }) => usedAt + timeoutMs > now);
}

function parseChange(saved: unknown, now: number): PinChange | null {
  if (!Array.isArray(saved)) return null;
  const [service, portal, client, endpoint, ...numbers] = saved as unknown[];
  const isNamed = isText(service) && (portal === null || isText(portal)) && isClient(client);
  if (!isNamed) return null;
  if (endpoint === null) return { service, portal, client, endpoint };
  if (!isText(endpoint) || !numbers.every(isCount)) return null;
  const [pinnedAt, usedAt, timeoutMs, moves] = numbers;
  if (pinnedAt === undefined || usedAt === undefined || timeoutMs === undefined || moves === undefined)
    return null;
  const times = { pinnedAt: Math.min(pinnedAt, now), usedAt: Math.min(usedAt, now), timeoutMs };
  return { service, portal, client, endpoint, ...times, moves };
}

function nameText({ service, portal, client }: PinName): string {
  return `${client} ${portal ?? service}`;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** See PinName.client. */
function isClient(value: unknown): value is string {
  return typeof value === 'string' && (isIP(value) !== 0 || /^[\da-f]{8,24}$/.test(value));
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
