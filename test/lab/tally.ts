/** Who answered how often: a service is asked many times, and the backends' names are counted. */
import type { Protocol } from '../../lib/model/portal.js';
import { askTcp, askUdp, type Target } from './client.js';
import type { Host } from './host.js';

export interface Question extends Target {
  readonly protocol: Protocol;
  /** Connections, or UDP sockets with source ports of their own. */
  readonly times: number;
}

/** Answers by backend, or by the error that came instead. */
export type Tally = Readonly<Record<string, number>>;

/** Asks `name` ports of backends. UDP sockets are all open at once, or one could get an earlier one's port and so be the same flow. */
export async function tally(host: Host, { protocol, address, port, times }: Question): Promise<Tally> {
  if (protocol === 'TCP') {
    const replies = await askTcp(host, { address, port, times, send: '?' });
    return count(replies.map(({ text, outcome }) => (outcome === 'answer' ? nameIn(text) : outcome)));
  }
  const replies = await askUdp(host, { address, port, sockets: times, concurrency: times });
  return count(replies.map(({ answers: [answer] }) => nameIn(answer)));
}

/** The name in front of an answer of a `name` port; an error's code as it is. */
export function nameIn(answer: string): string {
  return answer.split(':')[0];
}

/** How often each value occurs. */
export function count(values: readonly string[]): Tally {
  const counts: Record<string, number> = {};
  for (const value of [...values].sort()) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
