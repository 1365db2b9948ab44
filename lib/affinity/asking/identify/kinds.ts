import type { Protocol } from '../../../net/protocol.js';

/** Ways to tell backends apart. */
export const KINDS = ['http', 'banner', 'echo', 'dns', 'rtps', 'discovery-server'] as const;
export type Kind = (typeof KINDS)[number];

/** A port of the Service. */
export interface ServicePort {
  readonly port: number;
  readonly protocol: Protocol;
}

/** `80/tcp` */
export function portText({ port, protocol }: ServicePort): string {
  return `${port}/${protocol.toLowerCase()}`;
}

const PROTOCOLS: Readonly<Record<Kind, readonly Protocol[]>> = {
  http: ['TCP'],
  banner: ['TCP'],
  echo: ['TCP', 'UDP'],
  dns: ['TCP', 'UDP'],
  rtps: ['UDP'],
  'discovery-server': ['UDP'],
};

/** Whether a kind can be asked over a protocol. */
export function isKindOf(kind: Kind, protocol: Protocol): boolean {
  return PROTOCOLS[kind].includes(protocol);
}

/** The kinds that `auto` tries, the likely ones first. */
export function likelyKinds({ port, protocol }: ServicePort): Kind[] {
  const likely = LIKELY[port] ?? [];
  const rest: Kind[] = protocol === 'TCP' ? ['http', 'echo', 'banner', 'dns'] : UDP_KINDS;
  return [...new Set([...likely, ...rest])].filter((kind) => isKindOf(kind, protocol));
}

/** Well-known ports. 11811 is the one of Fast DDS discovery servers. */
const LIKELY: Readonly<Record<number, readonly Kind[]>> = {
  53: ['dns'],
  21: ['banner'],
  22: ['banner'],
  25: ['banner'],
  7410: ['rtps'],
  7411: ['rtps'],
  11811: ['discovery-server'],
};
const UDP_KINDS: Kind[] = ['echo', 'dns', 'rtps', 'discovery-server'];
