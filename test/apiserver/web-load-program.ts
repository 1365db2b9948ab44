/**
 * The program of `WebLoad`: fetches a URL again and again over open connections, until its input ends. Prints
 * a line once each connection has had an answer, and a WebLoadReport as JSON at the end. Arguments: URL,
 * connections.
 */

import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { item } from '../lab/items.js';
import { count } from '../lab/tally.js';
import type { WebLoadReport } from './load.js';

const url = item(process.argv, 2);
const lanes = Number(item(process.argv, 3));
/** A server that says nothing for so long, ms, does not answer. */
const PATIENCE_MS = 20_000;
/** What a connection rests between two requests, ms. */
const REST_MS = 20;

const agent = new Agent({ keepAlive: true, maxSockets: lanes });
const sockets = new WeakSet();
const outcomes: string[] = [];
let connections = 0;
let running = true;
process.stdin.on('end', () => {
  running = false;
});
process.stdin.resume();

/** @returns the body, trimmed. @throws Error with the code of what went wrong */
async function fetchOnce(): Promise<string> {
  const request = get(url, { agent, signal: AbortSignal.timeout(PATIENCE_MS) });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  if (!sockets.has(response.socket)) connections++;
  sockets.add(response.socket);
  const body = (await response.toArray()).join('').trim();
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
  return body;
}

async function lane(): Promise<void> {
  do {
    await sleep(REST_MS);
    outcomes.push(await fetchOnce().catch((error: NodeJS.ErrnoException) => error.code ?? error.message));
  } while (running);
}

const all = Promise.all(Array.from({ length: lanes }, lane));
while (outcomes.length < lanes) await sleep(REST_MS);
process.stdout.write('under load\n');
await all;
agent.destroy();
const report: WebLoadReport = { outcomes: count(outcomes), connections };
process.stdout.write(`${JSON.stringify(report)}\n`);
