import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';

/** What kube-proxy alone makes: the kubelet and policy engines have chains that begin with KUBE- too. */
const CHAIN = /^:KUBE-(?:SERVICES|NODEPORTS|EXTERNAL-SERVICES|(?:SVC|SVL|EXT|FW|XLB|SEP)-[A-Z2-7]{16}) /;
/** The device that holds the VIPs of its mode ipvs. */
const IPVS_DEVICE = 'kube-ipvs0';

/** The number of kube-proxy's chains among the lines of `iptables-save`. */
export function countKubeProxyChains(lines: readonly string[]): number {
  return lines.filter((line) => CHAIN.test(line)).length;
}

/** Not by /sys/class/net, which shows the network namespace that it was mounted in. */
function hasIpvsDevice(): boolean {
  return readFileSync('/proc/self/net/dev', 'utf8').includes(`${IPVS_DEVICE}:`);
}

/** Where kube-proxy's chains are, and how many. */
export interface KubeProxyChains {
  /** Back end of iptables. */
  readonly name: string;
  readonly kubeProxyChains: number;
}

/**
 * Says what a kube-proxy that was killed, or that runs still, has left on this node: nobody keeps it up to
 * date, and traffic that it catches goes to endpoints of former times.
 */
export function warnOfKubeProxy(log: Logger, backends: readonly KubeProxyChains[]): void {
  const found = backends
    .filter(({ kubeProxyChains }) => kubeProxyChains > 0)
    .map(({ name, kubeProxyChains }) => `${kubeProxyChains} iptables chains (${name})`);
  if (hasIpvsDevice()) found.push(`the device ${IPVS_DEVICE}`);
  if (found.length === 0) return;
  log.warn(
    { found: found.join(', ') },
    'kube-proxy has left rules on this node, or runs still: they may send traffic of Services to endpoints that are gone; ' +
      'stop kube-proxy, then run "kube-proxy --cleanup" or restart the node',
  );
}
