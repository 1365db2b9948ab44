import { readFile } from 'node:fs/promises';
import type { Family } from '../net/address.js';
import { PORT_OWNER } from '../sys/portowner.js';

/** Files of proc(5), and the state that they show for a socket that waits for clients. */
const SOCKETS = [
  { protocol: 'TCP', IPv4: '/proc/net/tcp', IPv6: '/proc/net/tcp6', state: '0A' },
  { protocol: 'UDP', IPv4: '/proc/net/udp', IPv6: '/proc/net/udp6', state: '07' },
] as const;
/** Ports. A message would be too long with more. */
const MAX_SHOWN = 20;

/**
 * The ports at which other programs of this node listen on all addresses, for example `TCP 22, 111; UDP 111`.
 * Empty: there are none.
 */
export async function wildcardPorts(families: readonly Family[]): Promise<string> {
  const lists = await Promise.all(
    SOCKETS.map(async ({ protocol, IPv4, IPv6, state }) => {
      // A socket of IPv6 may receive IPv4 too.
      const files = families.includes('IPv4') ? [IPv4, IPv6] : [IPv6];
      const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
      const ports = [...new Set(texts.flatMap((text) => portsIn(text, state)))].sort((a, b) => a - b);
      const more = ports.length > MAX_SHOWN ? ` and ${ports.length - MAX_SHOWN} more` : '';
      return ports.length === 0 ? [] : `${protocol} ${ports.slice(0, MAX_SHOWN).join(', ')}${more}`;
    }),
  );
  return lists.flat().join('; ');
}

/**
 * Lines look like `0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1234 …`.
 */
function portsIn(text: string, wanted: string): number[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , owner] = line.trim().split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    const isWildcard = state === wanted && /^0+$/.test(address);
    return isWildcard && owner !== String(PORT_OWNER) ? Number.parseInt(port, 16) : [];
  });
}
