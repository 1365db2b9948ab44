/** Rules of iptables as kube-proxy writes them, for one Service. */
import { familyOf } from '../../lib/net/address.js';
import type { Host } from '../lab/host.js';
import type { PortOptions } from '../lab/manifest.js';

export interface RuleOptions {
  readonly vip: string;
  readonly ports: readonly PortOptions[];
  /** Addresses of the pods. */
  readonly pods: readonly string[];
  /** Seconds of ClientIP affinity. Null for none. */
  readonly affinitySeconds: number | null;
}

/**
 * Sends a Service's traffic to pods by chance (`statistic`), and with affinity to the pod that the client has
 * met before at the same port (`recent`), as pkg/proxy/iptables/proxier.go does.
 */
export async function writeKubeProxyRules(node: Host, options: RuleOptions): Promise<void> {
  const program = familyOf(options.vip) === 'IPv4' ? 'iptables-restore' : 'ip6tables-restore';
  await node.must(program, ['--noflush', '-w', '10'], { input: rulesText(options) });
}

function rulesText({ vip, ports, pods, affinitySeconds }: RuleOptions): string {
  const chains: string[] = ['KUBE-SERVICES'];
  const rules: string[] = ['-A PREROUTING -j KUBE-SERVICES'];
  for (const { port, targetPort = port, protocol = 'TCP' } of ports) {
    const proto = protocol.toLowerCase();
    const service = `KUBE-SVC-${proto}-${port}`;
    const endpoints = pods.map((address, index) => ({
      address,
      chain: `KUBE-SEP-${proto}-${port}-${index}`,
    }));
    chains.push(service, ...endpoints.map(({ chain }) => chain));
    rules.push(`-A KUBE-SERVICES -d ${vip} -p ${proto} --dport ${port} -j ${service}`);
    if (affinitySeconds !== null) {
      for (const { chain } of endpoints)
        rules.push(
          `-A ${service} -m recent --name ${chain} --rcheck --seconds ${affinitySeconds} --reap -j ${chain}`,
        );
    }
    for (const [index, { chain, address }] of endpoints.entries()) {
      const left = endpoints.length - index;
      const chance = left > 1 ? `-m statistic --mode random --probability ${(1 / left).toFixed(10)} ` : '';
      rules.push(`-A ${service} ${chance}-j ${chain}`);
      const remember = affinitySeconds === null ? '' : `-m recent --name ${chain} --set `;
      const target = address.includes(':') ? `[${address}]` : address;
      rules.push(`-A ${chain} -p ${proto} ${remember}-j DNAT --to-destination ${target}:${targetPort}`);
    }
  }
  return ['*nat', ...chains.map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT', ''].join('\n');
}
