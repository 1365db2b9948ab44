/** The participants of RTPS Services, as workers list them: in pages, in the order in which they came. */

export interface ParticipantsQuestion {
  /** Only those of this Service, `namespace/name`; null for all. */
  readonly service: string | null;
  /** Where the page begins: 0, or what the page before names as its next. */
  readonly from: number;
}

export interface ParticipantsPage {
  readonly participants: readonly Participant[];
  /** Where the next page begins; null after the last one. */
  readonly next: number | null;
}

/** A DDS participant that sends to a Service, by its own announcement (SPDP) and by what it has sent. */
export interface Participant {
  /** `namespace/name`. */
  readonly service: string;
  /** GUID prefix, 24 hexadecimal digits. */
  readonly prefix: string;
  /** Product, such as `Cyclone DDS`. */
  readonly vendor: string;
  /** What it does not announce is null, here and below. */
  readonly domainId: number | null;
  readonly name: string | null;
  readonly host: string | null;
  readonly process: string | null;
  readonly pid: string | null;
  /** How long it may be silent, ms; null for ever. After that time it is listed no more. */
  readonly leaseMs: number | null;
  /** Where it wants discovery and data, such as `udp/10.244.0.21:7410`. */
  readonly metatraffic: readonly string[];
  readonly data: readonly string[];
  /** `address:port` from which it announced itself last. */
  readonly source: string;
  /** `address:port` of the replica that its announcements go to. */
  readonly endpoint: string;
  /** What it has sent since it was first heard. */
  readonly datagrams: number;
  readonly bytes: number;
  /** How long ago it was first and last heard, ms. */
  readonly firstHeardMs: number;
  readonly lastHeardMs: number;
  /** The addresses that it announces, if none of them is the one that it calls from; else empty. */
  readonly unreachableAt: readonly string[];
}

/** Says of a client behind NAT what is wrong, and the way out. */
export function natWarning(client: string, announced: readonly string[]): string {
  return (
    `calls from ${client} and announces only ${announced.join(', ')}: it is behind NAT, and DDS over UDP ` +
    'sends its answers to what it announces, so they are lost; use the TCP transport of its DDS, or Zenoh'
  );
}
