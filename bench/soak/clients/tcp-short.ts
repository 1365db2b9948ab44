import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { openStream } from './stream.js';
import { Refusal, type SoakTarget } from './talk.js';

const PAUSE_MS = 20;
const PATIENCE_MS = 20_000;

/** Connects, asks, reads the answer and closes. */
export async function tcpShort({ address, port }: SoakTarget): Promise<number> {
  await sleep(PAUSE_MS);
  const stream = await openStream(address, port);
  try {
    stream.write('?');
    const [answer] = (await once(stream, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer];
    if (!/^\w+:\?$/.test(String(answer))) throw new Error(`the answer is ${answer}`);
    return 0;
  } catch (error) {
    throw new Refusal((error as Error).message, true);
  } finally {
    stream.destroy();
  }
}
