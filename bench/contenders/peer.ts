import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { item } from '../../test/lab/items.js';
import type { Program } from '../../test/lab/program.js';
import { SERVICE_PORTS, type ServicePort, VIP } from '../service.js';
import type { Testbed } from '../testbed.js';
import type { Contender } from './contender.js';
import { redirect } from './redirect.js';

/** A peer listens on the node at the number of the service port plus this. */
const PORT_OFFSET = 10_000;
const TIMEOUT_MS = 10_000;

/** A port of a peer: where it listens, and to which backend it relays. */
export interface Forward {
  readonly listen: number;
  /** Address and port. */
  readonly backend: string;
}

export interface PeerConfiguration {
  readonly tcp: readonly Forward[];
  readonly udp: readonly Forward[];
  /** A directory for files of the peer. */
  readonly directory: string;
}

/**
 * A proxy on the node that Debian has, with a configuration file. As with kube-portal, rules of iptables
 * redirect the VIP to it.
 */
export function peer(
  contender: Omit<Contender, 'start' | 'role'>,
  configure: (configuration: PeerConfiguration) => string,
  command: (file: string) => readonly [string, ...string[]],
): Contender {
  return {
    ...contender,
    role: 'peer',
    async start(testbed) {
      const directory = await mkdtemp(join(tmpdir(), 'kube-portal-bench-'));
      const file = join(directory, 'peer.conf');
      const forward = ({ port }: ServicePort) => ({
        listen: port + PORT_OFFSET,
        backend: `${testbed.backend.address4}:${port}`,
      });
      const tcp = SERVICE_PORTS.filter(({ protocol }) => protocol === 'TCP').map(forward);
      const udp = SERVICE_PORTS.filter(({ protocol }) => protocol === 'UDP').map(forward);
      writeFileSync(file, configure({ tcp, udp, directory }));
      const [name, ...args] = command(file);
      const program = testbed.spawnProxy(name, args);
      await untilListening(testbed, program, item(tcp, 0).listen);
      await redirect(testbed, ({ port }) => `REDIRECT --to-ports ${port + PORT_OFFSET}`);
      const stop = async () => {
        await program.stop('SIGTERM');
        await rm(directory, { recursive: true });
      };
      return { address: VIP, pid: program.pid, stop };
    },
  };
}

/** @throws Error with the peer's messages if the peer ends, or does not listen in time */
async function untilListening(testbed: Testbed, program: Program, port: number): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const { stdout } = await testbed.node.exec('ss', ['-Hltn', `sport = :${port}`]);
    if (stdout !== '') return;
    if (!program.running || Date.now() > deadline)
      throw new Error(`a peer does not start: ${program.stderr}`);
    await sleep(20);
  }
}
