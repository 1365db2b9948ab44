import { isIP } from 'node:net';
import type { PinFilter, PinName, PinRecord } from '../dataplane/shared/pins.js';
import { json, jsonText } from '../server/answer.js';
import { listText } from '../server/listtext.js';
import { BadQuery, type QueryField, readQuery, service } from '../server/query.js';
import type { Routes } from '../server/route.js';

/** The pins of this node, see DataplanePins. */
export interface PinsSource {
  list(filter: PinFilter): AsyncIterable<readonly PinRecord[]>;
  release(service: string, client: string): Promise<number>;
}

export interface ListedPin extends PinName {
  readonly endpoint: string;
  /** Milliseconds since the client was first pinned. */
  readonly ageMs: number;
  /** Milliseconds after which the pin ends, if the client does not come. */
  readonly leftMs: number;
  readonly moves: number;
}

/** The answer of `GET /v1/pins`. */
export interface PinsReport {
  readonly pins: readonly ListedPin[];
}

/** The answer of `DELETE /v1/pins`. */
export interface ReleaseReport {
  /** How many pins were given up. */
  readonly released: number;
}

const CLIENTS = 'an IP address, or the 24 or 8 hexadecimal digits of an RTPS participant or host';

const client: QueryField<string | null> = {
  allowed: CLIENTS,
  absent: null,
  parse: (text) => {
    const isClient = isIP(text) !== 0 || /^(?:[\da-f]{8}|[\da-f]{24})$/i.test(text);
    return isClient ? text.toLowerCase() : undefined;
  },
};

/**
 * `/v1/pins?service=NAMESPACE/NAME&client=CLIENT`: GET lists pins, and both fields are optional. DELETE gives
 * up the pins of one client of one Service.
 */
export function pinsRoutes(source: PinsSource): Routes {
  return {
    '/v1/pins': ({ query }) => {
      const filter = readQuery<PinFilter>(query, { service, client });
      return jsonText(listText('pins', source.list(filter), listed));
    },
    'DELETE /v1/pins': async ({ query }) => {
      const wanted = readQuery<PinFilter>(query, { service, client });
      if (wanted.service === null || wanted.client === null)
        throw new BadQuery('service and client: give both, to say whose pins to release');
      const released = await source.release(wanted.service, wanted.client);
      return json({ released } satisfies ReleaseReport);
    },
  };
}

function listed({ pinnedAt, usedAt, timeoutMs, ...pin }: PinRecord): ListedPin {
  const now = Date.now();
  return {
    ...pin,
    ageMs: Math.max(0, now - pinnedAt),
    leftMs: Math.max(0, usedAt + timeoutMs - now),
  };
}
