/** ddsperf with Cyclone DDS set up for unicast: two participants that find each other through a service only. */
import type { Host } from './host.js';
import type { Program } from './program.js';

/** Where participant 0 of domain 0 listens (DDSI-RTPS 9.6.1). */
export const DDS_PORTS = { discovery: 7410, data: 7411 } as const;

/** Says that it lives at an address, which is the service's. */
export function startDdsServer(pod: Host, args: readonly string[], address: string): Program {
  return start(pod, args, `<General><ExternalNetworkAddress>${address}</ExternalNetworkAddress></General>`);
}

/** Knows nobody but the participant at an address. */
export function startDdsClient(pod: Host, args: readonly string[], address: string): Program {
  const peers = `<Peers><Peer address="${address}:${DDS_PORTS.discovery}"/></Peers>`;
  return start(pod, args, `<Discovery>${peers}</Discovery>`);
}

function start(pod: Host, args: readonly string[], settings: string): Program {
  const common = `
    <General><AllowMulticast>false</AllowMulticast></General>
    <Discovery><ParticipantIndex>0</ParticipantIndex></Discovery>`;
  const env = { CYCLONEDDS_URI: `<CycloneDDS><Domain>${common}${settings}</Domain></CycloneDDS>` };
  return pod.spawn('ddsperf', args, { env });
}
