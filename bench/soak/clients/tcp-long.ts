import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Digest, patternAt } from '../../../test/lab/pattern.js';
import { openStream } from './stream.js';
import { Refusal, type SoakTarget } from './talk.js';

const SHORTEST_MS = 10_000;
const LONGEST_MS = 120_000;
const LARGEST_CHUNK = 1 << 18;
const LONGEST_PAUSE_MS = 200;
/** TCP repeats what was lost for longer than this, but nothing of this soak is silent for so long. */
const PATIENCE_MS = 20_000;

/** Sends pieces of a pattern to an echo, and compares what comes back with it, for up to two minutes. */
export async function tcpLong({ address, port }: SoakTarget, ends: AbortSignal): Promise<number> {
  const stream = await openStream(address, port);
  const until = performance.now() + SHORTEST_MS + Math.random() * (LONGEST_MS - SHORTEST_MS);
  const [sent, heard] = [new Digest(), new Digest()];
  stream.on('data', (data) => heard.add(data));
  try {
    while (performance.now() < until && !ends.aborted) {
      const chunk = patternAt(sent.bytes, 1 + Math.floor(Math.random() * LARGEST_CHUNK));
      sent.add(chunk);
      stream.write(chunk);
      await hear(stream, heard, sent.bytes);
      await sleep(Math.random() * LONGEST_PAUSE_MS);
    }
    if (heard.hex !== sent.hex) throw new Error('other bytes came back than were sent');
    return 0;
  } catch (error) {
    throw new Refusal(`after ${heard.bytes} bytes: ${(error as Error).message}`, true);
  } finally {
    stream.destroy();
  }
}

async function hear(stream: Socket, heard: Digest, bytes: number): Promise<void> {
  while (heard.bytes < bytes) {
    if (stream.destroyed) throw stream.errored ?? new Error('the connection is closed');
    await once(stream, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) });
  }
}
