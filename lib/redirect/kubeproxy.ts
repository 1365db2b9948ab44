import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';

/** Chains that only kube-proxy makes. Chains of the kubelet and of policy engines begin with KUBE- too. */
const CHAIN = /^:KUBE-(?:SERVICES|NODEPORTS|EXTERNAL-SERVICES|(?:SVC|SVL|EXT|FW|XLB|SEP)-[A-Z2-7]{16}) /;
/** The device that holds the VIPs in kube-proxy's ipvs mode. */
const IPVS_DEVICE = 'kube-ipvs0';

/** The number of kube-proxy's chains among the lines of `iptables-save`. */
export function countKubeProxyChains(lines: readonly string[]): number {
  return lines.filter((line) => CHAIN.test(line)).length;
}

/** /sys/class/net would show the network namespace in which /sys was mounted. */
function hasIpvsDevice(): boolean {
  return readFileSync('/proc/self/net/dev', 'utf8').includes(`${IPVS_DEVICE}:`);
}

/** Where kube-proxy's chains are, and how many. */
export interface KubeProxyChains {
  /** Name of the iptables back end. */
  readonly name: string;
  readonly kubeProxyChains: number;
}

/**
 * Warns about rules of a kube-proxy that was stopped or that still runs. The rules of a stopped kube-proxy
 * are not updated: they send traffic to endpoints that are gone.
 */
export function warnOfKubeProxy(log: Logger, backends: readonly KubeProxyChains[]): void {
  const found = backends
    .filter(({ kubeProxyChains }) => kubeProxyChains > 0)
    .map(({ name, kubeProxyChains }) => `${kubeProxyChains} iptables chains (${name})`);
  if (hasIpvsDevice()) found.push(`the device ${IPVS_DEVICE}`);
  if (found.length === 0) return;
  log.warn(
    { found: found.join(', ') },
    'there are rules of kube-proxy on this node: they may send traffic of Services to endpoints that are gone; ' +
      'stop kube-proxy, then run "kube-proxy --cleanup" or restart the node',
  );
}
