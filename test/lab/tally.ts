/** Who answered how often: a service is asked many times, and the backends' names are counted. */

import type { Protocol } from '../../lib/net/protocol.js';
import { askEach, type Conversation, type Target, type TcpReply, type UdpReply } from './client.js';
import type { Host } from './host.js';
import { item } from './items.js';

export interface Question extends Target {
  readonly protocol: Protocol;
  /** Connections, or UDP sockets with source ports of their own. */
  readonly times: number;
}

/** Answers by backend, or by the error that came instead. */
export type Tally = Readonly<Record<string, number>>;

/** Asks a `name` port of backends. */
export async function tally(host: Host, question: Question): Promise<Tally> {
  return item(await tallies(host, [question]), 0);
}

/** Asks one question after the other. Resolves to a tally for each. */
export async function tallies(host: Host, questions: readonly Question[]): Promise<Tally[]> {
  const replies = await askEach(host, questions.map(conversationOf));
  return replies.map((replies) => count(replies.map(outcomeOf)));
}

/** UDP sockets are all open at once: else one could get an earlier one's port and so be the same flow. */
function conversationOf({ protocol, address, port, times }: Question): Conversation {
  if (protocol === 'TCP') return { what: 'tcp', address, port, times, send: '?' };
  return { what: 'udp', address, port, sockets: times, concurrency: times };
}

function outcomeOf(reply: TcpReply | UdpReply): string {
  if ('answers' in reply) return nameIn(item(reply.answers, 0));
  return reply.outcome === 'answer' ? nameIn(reply.text) : reply.outcome;
}

/** The name in front of an answer of a `name` port; an error's code as it is. */
export function nameIn(answer: string): string {
  return answer.replace(/:.*/s, '');
}

/** How often each value occurs. */
export function count(values: readonly string[]): Tally {
  const counts: Record<string, number> = {};
  for (const value of [...values].sort()) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
