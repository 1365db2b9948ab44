import { setTimeout as sleep } from 'node:timers/promises';
import { openDatagrams } from './datagrams.js';
import { Refusal, type SoakTarget } from './talk.js';

const PAUSE_MS = 20;
const TIMEOUT_MS = 2000;
/** More than resolvers make: a busy machine is no fault of the proxy's. */
const ATTEMPTS = 15;

/** Asks once from a new socket. Without an answer it asks again from another, as `dig` does. */
export async function udpLookup({ address, port }: SoakTarget): Promise<number> {
  await sleep(PAUSE_MS);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (await ask(address, port)) return attempt;
  throw new Refusal(`no answer to ${ATTEMPTS} questions`, false);
}

async function ask(address: string, port: number): Promise<boolean> {
  const answered = new AbortController();
  let answer: string | null = null;
  const socket = await openDatagrams(address, port, (text) => {
    answer = text;
    answered.abort();
  });
  socket.send('?', () => {});
  await sleep(TIMEOUT_MS, undefined, { signal: answered.signal }).catch(() => {});
  socket.close();
  if (answer !== null && !/^\w+:\?$/.test(answer)) throw new Refusal(`the answer is ${answer}`, true);
  return answer !== null;
}
