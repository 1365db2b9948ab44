import { setTimeout as sleep } from 'node:timers/promises';
import { openDatagrams } from './datagrams.js';
import { Refusal, type SoakTarget } from './talk.js';

const PERIOD_MS = 50;
const LONGEST_MS = 60_000;
const SHORTEST_MS = 5000;
/** Endpoints of the soak are silent for much less than this time. */
const MAX_SILENCE_MS = 30_000;
/** After the last question, answers come by then. */
const LAST_ANSWERS_MS = 1000;

/** One flow with a question every 50 ms, for up to a minute. @returns how many answers are missing */
export async function udpStream({ address, port }: SoakTarget, ends: AbortSignal): Promise<number> {
  const missing = new Set<string>();
  let heardAt = performance.now();
  const socket = await openDatagrams(address, port, (answer) => {
    heardAt = performance.now();
    missing.delete(answer.replace(/^\w+:/, ''));
  });
  const until = performance.now() + SHORTEST_MS + Math.random() * (LONGEST_MS - SHORTEST_MS);
  try {
    for (let number = 0; performance.now() < until && !ends.aborted; number++) {
      missing.add(`${number}`);
      socket.send(`${number}`, () => {});
      await sleep(PERIOD_MS);
      if (performance.now() - heardAt > MAX_SILENCE_MS) throw new Refusal('no more answers', true);
    }
    await sleep(LAST_ANSWERS_MS);
    return missing.size;
  } finally {
    socket.close();
  }
}
