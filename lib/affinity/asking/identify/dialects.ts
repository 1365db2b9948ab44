import { BANNER } from './banner.js';
import type { Dialect } from './dialect.js';
import { dns } from './dns.js';
import { ECHO } from './echo.js';
import { http } from './http.js';
import type { Kind, ServicePort } from './kinds.js';
import { rtps } from './rtps.js';

/** What a question is made of. */
export interface DialectOptions {
  /** The address of the Service. */
  readonly address: string;
  /** What `http` asks for. */
  readonly httpPath: string;
  /** Names of the endpoints by their addresses, as far as they are known. */
  readonly endpointNames: ReadonlyMap<string, string>;
}

export function dialectOf(
  kind: Kind,
  { port, protocol }: ServicePort,
  { address, httpPath, endpointNames }: DialectOptions,
): Dialect {
  switch (kind) {
    case 'http':
      return http(httpPath, address, port);
    case 'banner':
      return BANNER;
    case 'echo':
      return ECHO;
    case 'dns':
      return dns(protocol);
    case 'rtps':
    case 'discovery-server':
      return rtps(port, kind === 'discovery-server', endpointNames);
  }
}
