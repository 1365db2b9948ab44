import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubePortal } from '../test/lab/kubeportal.js';
import { serviceWithPods } from '../test/lab/manifest.js';
import type { Program } from '../test/lab/program.js';
import { ROWS, type Row } from './rows.js';
import { type Stage, VIP } from './stage.js';

/** Something that brings VIP traffic to the backend, at work on a stage. */
export interface Running {
  /** Where clients connect to. */
  readonly address: string;
  /** The userspace proxy's main process; null where the kernel does all. */
  readonly pid: number | null;
  stop(): Promise<void>;
}

export interface Contender {
  readonly id: string;
  readonly title: string;
  /** The program it needs, and the Debian packages that bring it. */
  readonly needs?: { readonly program: string; readonly packages: string };
  /** Only measured where it is asked for by name. */
  readonly optional?: boolean;
  runs(row: Row): boolean;
  start(stage: Stage): Promise<Running>;
}

/** Service ports that the rows use, each once. */
const PORTS = [...new Map(ROWS.map((row) => [`${row.protocol} ${row.port}`, row])).values()];
/** The peers listen on the node at the service port plus this. */
const OFFSET = 10_000;
const PEER_TIMEOUT_MS = 10_000;

const everyRow = () => true;
const nothing = async () => {};

const direct: Contender = {
  id: 'direct',
  title: 'direct (no VIP)',
  runs: everyRow,
  start: async (stage) => ({ address: stage.backend.address4, pid: null, stop: nothing }),
};

const dnat: Contender = {
  id: 'kernel',
  title: 'kernel DNAT (one rule, one endpoint)',
  runs: everyRow,
  async start(stage) {
    await redirect(stage, ({ port }) => `DNAT --to-destination ${stage.backend.address4}:${port}`);
    return { address: VIP, pid: null, stop: nothing };
  },
};

/** Rules that bring every service port of the VIP somewhere. */
async function redirect(stage: Stage, target: (row: Row) => string): Promise<void> {
  const rules = PORTS.map((row) => {
    const protocol = row.protocol.toLowerCase();
    return `-A PREROUTING -d ${VIP} -p ${protocol} --dport ${row.port} -j ${target(row)}`;
  });
  await stage.node.must('iptables-restore', ['--noflush'], { input: `*nat\n${rules.join('\n')}\nCOMMIT\n` });
}

/** A proxy from Debian on the node, with a configuration file; the VIP reaches it as it reaches kube-portal. */
function peer(
  contender: Omit<Contender, 'start'>,
  configuration: (backend: string, directory: string) => string,
  command: (file: string) => readonly [string, ...string[]],
): Contender {
  return {
    ...contender,
    async start(stage) {
      const directory = await mkdtemp(join(tmpdir(), 'kube-portal-bench-'));
      const file = join(directory, 'peer.conf');
      writeFileSync(file, configuration(stage.backend.address4, directory));
      const [name, ...args] = command(file);
      const program = stage.node.spawn(name, args);
      await untilListening(stage, program);
      await redirect(stage, ({ port }) => `REDIRECT --to-ports ${port + OFFSET}`);
      const stop = async () => {
        await program.stop('SIGTERM');
        await rm(directory, { recursive: true });
      };
      return { address: VIP, pid: program.pid, stop };
    },
  };
}

/** @throws Error with its messages when the peer ends or does not listen in time */
async function untilListening(stage: Stage, program: Program): Promise<void> {
  const deadline = Date.now() + PEER_TIMEOUT_MS;
  const { port } = PORTS.find((row) => row.protocol === 'TCP') as Row;
  for (;;) {
    const { stdout } = await stage.node.exec('ss', ['-Hltn', `sport = :${port + OFFSET}`]);
    if (stdout !== '') return;
    if (!program.running || Date.now() > deadline)
      throw new Error(`a peer does not start: ${program.stderr}`);
    await sleep(20);
  }
}

function nginxConfiguration(backend: string, directory: string): string {
  const servers = PORTS.map(({ protocol, port }) =>
    protocol === 'TCP'
      ? `server { listen ${port + OFFSET} reuseport backlog=4096; proxy_pass ${backend}:${port}; tcp_nodelay on; }`
      : `server { listen ${port + OFFSET} udp reuseport rcvbuf=4m sndbuf=4m; proxy_pass ${backend}:${port}; }`,
  );
  return `
    load_module /usr/lib/nginx/modules/ngx_stream_module.so;
    daemon off;
    pid ${directory}/nginx.pid;
    error_log stderr crit;
    worker_processes 2;
    worker_rlimit_nofile 16384;
    events { worker_connections 8192; multi_accept on; }
    stream {
      access_log off;
      proxy_buffer_size 64k;
      proxy_connect_timeout 5s;
      ${servers.join('\n      ')}
    }
  `;
}

const nginx = peer(
  {
    id: 'nginx',
    title: 'nginx stream, 2 workers',
    needs: { program: 'nginx', packages: 'nginx libnginx-mod-stream' },
    runs: everyRow,
  },
  nginxConfiguration,
  (file) => ['nginx', '-c', file],
);

function haproxyConfiguration(backend: string): string {
  const proxies = PORTS.filter(({ protocol }) => protocol === 'TCP').map(
    ({ port }) => `
listen p${port}
  bind 0.0.0.0:${port + OFFSET} backlog 4096
  server backend ${backend}:${port}`,
  );
  return `
global
  nbthread 2
  maxconn 4000
  tune.bufsize 65536
defaults
  mode tcp
  maxconn 4000
  option splice-auto
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${proxies.join('\n')}
`;
}

const haproxy = peer(
  {
    id: 'haproxy',
    title: 'HAProxy, 2 threads',
    needs: { program: 'haproxy', packages: 'haproxy' },
    runs: (row) => row.protocol === 'TCP',
  },
  haproxyConfiguration,
  (file) => ['haproxy', '-db', '-f', file],
);

function kubePortal(id: string, title: string, flags: readonly string[], optional = false): Contender {
  return {
    id,
    title,
    optional,
    runs: everyRow,
    async start(stage) {
      const ports = PORTS.map(({ protocol, port }) => ({
        name: `${protocol}-${port}`.toLowerCase(),
        protocol,
        port,
      }));
      const objects = serviceWithPods({ name: 'bench', clusterIPs: [VIP], ports }, [stage.backend]);
      const portal = KubePortal.launch(stage.node, { objects, flags });
      await portal.ready();
      return { address: VIP, pid: portal.program.pid, stop: () => portal.dispose() };
    },
  };
}

export const CONTENDERS: readonly Contender[] = [
  direct,
  dnat,
  nginx,
  haproxy,
  kubePortal('kube-portal-1', 'kube-portal, iptables, 1 worker', [
    '--redirect',
    'iptables',
    '--workers',
    '1',
  ]),
  kubePortal('kube-portal', 'kube-portal, iptables, default workers', ['--redirect', 'iptables']),
  kubePortal(
    'kube-portal-address',
    'kube-portal, address driver, default workers',
    ['--redirect', 'address'],
    true,
  ),
];
