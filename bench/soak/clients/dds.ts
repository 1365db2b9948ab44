import { setTimeout as sleep } from 'node:timers/promises';
import { openDatagrams } from './datagrams.js';
import { Refusal, type SoakTarget } from './talk.js';

const PERIOD_MS = 100;
const ROUNDS = 100;
/** Datagrams of one sample, and their sizes: large samples leave as fragments of IP. */
const SAMPLE = [60, 1400, 8000] as const;
/** Endpoints of the soak are silent or different from each other for much less than this time. */
const MAX_TROUBLE_MS = 30_000;
const LAST_ANSWERS_MS = 1000;

/**
 * As a participant of DDS does: sends bursts from one socket to the data port, and small datagrams from
 * another one to the discovery port, for ten seconds. Both ports must be of the same pod.
 * @returns how many answers are missing
 */
export async function dds({ address, port, otherPort }: SoakTarget, ends: AbortSignal): Promise<number> {
  let [sent, heard] = [0, 0];
  let fineAt = performance.now();
  const names = { discovery: '', data: '' };
  const hear = (where: keyof typeof names) => (answer: string) => {
    heard++;
    names[where] = answer.replace(/:.*/s, '');
    if (names.discovery === names.data) fineAt = performance.now();
  };
  const discovery = await openDatagrams(address, port, hear('discovery'));
  const data = await openDatagrams(address, otherPort, hear('data'));
  try {
    for (let round = 0; round < ROUNDS && !ends.aborted; round++) {
      discovery.send('announcement', () => {});
      for (const size of SAMPLE) data.send(Buffer.alloc(size, 'x'), () => {});
      sent += 1 + SAMPLE.length;
      await sleep(PERIOD_MS);
      if (performance.now() - fineAt > MAX_TROUBLE_MS)
        throw new Refusal(`discovery is answered by ${names.discovery}, data by ${names.data}`, true);
    }
    await sleep(LAST_ANSWERS_MS);
    return sent - heard;
  } finally {
    discovery.close();
    data.close();
  }
}
