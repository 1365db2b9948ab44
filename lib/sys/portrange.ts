import { readFileSync } from 'node:fs';

const RANGE = '/proc/sys/net/ipv4/ip_local_port_range';
const RESERVED = '/proc/sys/net/ipv4/ip_local_reserved_ports';
/** The kernel's default, for a system that hides the files. */
const DEFAULT = { first: 32768, last: 60999 };

/**
 * The ports that the kernel gives to sockets without a port, in both families (ip(7), ip_local_port_range),
 * in ascending order. Ports that the administrator reserved (ip_local_reserved_ports) are left out.
 */
export function localPorts(): number[] {
  const [first, last] = read(RANGE)?.split(/\s+/).map(Number) ?? [DEFAULT.first, DEFAULT.last];
  const reserved = new Set(portsOf(read(RESERVED) ?? ''));
  return portsBetween(first, last).filter((port) => !reserved.has(port));
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}

/** The ports of a list such as `8080,9148-9150`. */
function portsOf(list: string): number[] {
  return list
    .split(',')
    .filter((item) => item !== '')
    .flatMap((item) => {
      const [first, last = first] = item.split('-').map(Number);
      return portsBetween(first, last);
    });
}

function portsBetween(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}
