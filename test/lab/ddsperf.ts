/** ddsperf with Cyclone DDS for unicast: two participants that can find each other only through a Service. */
import type { Host } from './host.js';
import type { Program } from './program.js';

/** Where participant 0 of domain 0 listens (DDSI-RTPS 9.6.1). */
export const DDS_PORTS = { discovery: 7410, data: 7411 } as const;

/** Where a participant listens that speaks TCP. */
export const DDS_TCP_PORT = 7400;

export interface DdsOptions {
  /** @defaultValue `udp` */
  readonly transport?: 'udp' | 'tcp';
  /** Index of the participant: its UDP ports are two higher for each before it. @defaultValue 0 */
  readonly index?: number;
  /** How long, s, it may be silent before others take it for gone. @defaultValue 10 */
  readonly lease?: number;
  /** Where it says that it lives. Its own address unless given. */
  readonly announced?: string;
  /** Whether it prints which participants come and go, also those without readers and writers. */
  readonly isTraced?: boolean;
}

/** Says that it lives at an address, which is the service's. */
export function startDdsServer(
  pod: Host,
  args: readonly string[],
  address: string,
  options: DdsOptions = {},
): Program {
  return start(pod, args, DDS_TCP_PORT, '', { ...options, announced: address });
}

/** Knows nobody but the participant at an address. */
export function startDdsClient(
  pod: Host,
  args: readonly string[],
  address: string,
  options: DdsOptions = {},
): Program {
  const port = options.transport === 'tcp' ? DDS_TCP_PORT : DDS_PORTS.discovery;
  // -1: it listens nowhere, and all goes over the connections that it opens itself.
  return start(pod, args, -1, `<Peers><Peer address="${address}:${port}"/></Peers>`, options);
}

/** Waits for so many more of the lines that `ping` writes about round trips, one a second. */
export async function waitForPings(ping: Program, lines = 2): Promise<void> {
  const count = () => ping.stdout.match(/mean.*cnt \d+/g)?.length ?? 0;
  const before = count();
  await ping.waitFor(
    () => (count() >= before + lines ? true : null),
    `${lines} more lines about round trips`,
  );
}

function start(
  pod: Host,
  args: readonly string[],
  tcpPort: number,
  peers: string,
  { transport = 'udp', index = 0, lease = 10, announced = 'auto', isTraced = false }: DdsOptions,
): Program {
  const settings = `
    <General>
      <Transport>${transport}</Transport>
      <AllowMulticast>false</AllowMulticast>
      <ExternalNetworkAddress>${announced}</ExternalNetworkAddress>
    </General>
    <Discovery>
      <ParticipantIndex>${index}</ParticipantIndex>
      <LeaseDuration>${lease}s</LeaseDuration>
      ${peers}
    </Discovery>
    <TCP><Port>${tcpPort}</Port></TCP>
    ${isTraced ? '<Tracing><Category>discovery</Category><OutputFile>stdout</OutputFile></Tracing>' : ''}`;
  const env = { CYCLONEDDS_URI: `<CycloneDDS><Domain>${settings}</Domain></CycloneDDS>` };
  return pod.spawn('ddsperf', args, { env });
}
