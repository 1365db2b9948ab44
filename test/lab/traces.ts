import type { Host } from './host.js';

/**
 * What kube-portal left in a host's kernel: lines of iptables rules, and addresses of the loopback device.
 */
export async function tracesIn(host: Host): Promise<string[]> {
  const rules: string[] = [];
  for (const program of ['iptables', 'ip6tables']) {
    for (const backend of ['nft', 'legacy']) {
      const saved = await host.must(`${program}-${backend}-save`);
      rules.push(...saved.split('\n').filter((line) => /^[:-].*KUBE-PORTAL/.test(line)));
    }
  }
  const addresses = await host.must('ip', ['-o', 'addr', 'show', 'dev', 'lo']);
  const vips = [...addresses.matchAll(/inet6? (\S+)/g)].map(([, address = '']) => address);
  return [...rules.map(withoutCounters), ...vips.filter((vip) => vip !== '127.0.0.1/8' && vip !== '::1/128')];
}

function withoutCounters(line: string): string {
  return line.replace(/ \[\d+:\d+\]$/, '');
}
