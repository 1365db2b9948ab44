import { InvalidArgumentError } from 'commander';
import { clientAddresses } from '../affinity/asking/clientaddresses.js';
import type { ServicePort } from '../affinity/asking/identify/kinds.js';
import type { Protocol } from '../net/protocol.js';

/** Reads `80/tcp,7410/udp`. A number without a protocol is TCP. Each port once. */
export function parseServicePorts(text: string): readonly ServicePort[] {
  const ports = text.split(',').map(readPort);
  const known = new Map(ports.map((port) => [`${port.port}/${port.protocol}`, port]));
  return [...known.values()];
}

function readPort(text: string): ServicePort {
  const [, number, protocol = 'tcp'] = /^\s*(\d+)(?:\/(tcp|udp))?\s*$/i.exec(text) ?? [];
  const port = Number(number);
  if (port >= 1 && port <= 65_535) return { port, protocol: protocol.toUpperCase() as Protocol };
  throw new InvalidArgumentError('Give ports with protocols, separated by commas, such as 80/tcp,7410/udp.');
}

/** Reads addresses and CIDRs, separated by commas, as the addresses that are in them. */
export function parseClients(text: string, previous: readonly string[] = []): readonly string[] {
  try {
    return [...previous, ...clientAddresses(text.split(',').map((part) => part.trim()))];
  } catch (error) {
    const reason = (error as Error).message;
    throw new InvalidArgumentError(
      `Give addresses or CIDRs that nobody uses, separated by commas, such as 198.18.0.0/26 (${reason}).`,
    );
  }
}

export function collectTexts(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, text];
}

/** Reads the URL of a program that gathers. */
export function parseReportUrl(text: string): string {
  if (/^http:\/\/[^/\s]+/.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError('Give a URL, such as http://affinity-gather:8080.');
}
