import { execFileSync, spawnSync } from 'node:child_process';

/**
 * Importing this module first makes a test file run in a network namespace of its own, with loopback up: the
 * process starts itself again in there and passes its output through.
 */
const MARK = 'KUBE_PORTAL_TEST_NAMESPACE';

if (process.env[MARK] === undefined) {
  const env = { ...process.env, [MARK]: 'inside' };
  const command = ['--net', '--mount', process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status } = spawnSync('unshare', command, { stdio: 'inherit', env });
  process.exit(status ?? 1);
}
sh('ip link set lo up');
// Namespaces made in here are seen only here, and go with this process whatever ends it.
sh('mkdir -p /run/netns && mount -t tmpfs kube-portal /run/netns');

/** Runs a shell command and returns its output. @throws Error if it fails */
export function sh(command: string, input = ''): string {
  return execFileSync('sh', ['-c', command], { input, encoding: 'utf8', stdio: 'pipe' });
}

/**
 * A client pod: a namespace behind a veth pair. This namespace is its router. The default route of this
 * namespace leads to the pod, because the node's own traffic to a VIP needs a route before netfilter sees it.
 */
export class Pod {
  static readonly address = { IPv4: '10.244.0.2', IPv6: 'fd00:244::2' } as const;
  static readonly router = { IPv4: '10.244.0.1', IPv6: 'fd00:244::1' } as const;
  readonly namespace = 'pod';

  constructor() {
    const { namespace } = this;
    sh(`
      set -e
      ip netns add ${namespace}
      ip link add pod0 type veth peer name eth0 netns ${namespace}
      ip addr add ${Pod.router.IPv4}/24 dev pod0
      ip addr add ${Pod.router.IPv6}/64 dev pod0 nodad
      ip link set pod0 up
      ip route add default via ${Pod.address.IPv4}
      ip route add default via ${Pod.address.IPv6}
      ip -n ${namespace} link set lo up
      ip -n ${namespace} addr add ${Pod.address.IPv4}/24 dev eth0
      ip -n ${namespace} addr add ${Pod.address.IPv6}/64 dev eth0 nodad
      ip -n ${namespace} link set eth0 up
      ip -n ${namespace} route add default via ${Pod.router.IPv4}
      ip -n ${namespace} route add default via ${Pod.router.IPv6}
    `);
  }
}
