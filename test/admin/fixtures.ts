import type { Participant } from '../../lib/dataplane/shared/participants.js';

/** A participant that a worker lists; `over` says what is different. */
export function participant(over: Partial<Participant> = {}): Participant {
  return {
    service: 'default/robot',
    prefix: '0110465b6276a1ab271afc1a',
    vendor: 'Cyclone DDS',
    domainId: 0,
    name: null,
    host: 'robot-7',
    process: 'talker',
    pid: '4711',
    leaseMs: 10_000,
    metatraffic: ['udp/10.244.0.21:7410'],
    data: ['udp/10.244.0.21:7411'],
    source: '10.244.0.21:41000',
    endpoint: '10.244.0.11:7410',
    datagrams: 120,
    bytes: 14_000,
    firstHeardMs: 61_000,
    lastHeardMs: 300,
    unreachableAt: [],
    ...over,
  };
}
