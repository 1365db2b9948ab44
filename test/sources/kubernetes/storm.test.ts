import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { PATHS } from './fake-apiserver.js';
import { prepareSynced, slice } from './harness.js';

t.setTimeout(0);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of the heap that are in use after a garbage collection. */
function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

t.test('many changes give the exact state in few steps, and use no more memory after it', async (t) => {
  const { api, harness } = await prepareSynced(t);
  const SLICES = 100;
  const PER_SECOND = 1000;
  const CHANGES = 30 * PER_SECOND;
  const change = (i: number) =>
    api.put(PATHS.slices, slice(`s${i % SLICES}`, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`));
  for (let i = 0; i < SLICES; i++) change(i);
  await harness.until(() => harness.addresses.length === SLICES, 'all slices');
  const statesBefore = harness.states.length;
  const heapBefore = heapInUse();

  const started = performance.now();
  let last = started;
  let longest = 0;
  for (let i = SLICES; i < CHANGES; await sleep(10)) {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    while (i < Math.min(CHANGES, (now - started) * (PER_SECOND / 1000))) change(i++);
  }
  const expected = Array.from({ length: SLICES }, (_, n) => CHANGES - SLICES + n)
    .map((i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    .sort()
    .join();
  await harness.until(() => harness.addresses.join() === expected, 'the last state');
  const seconds = (performance.now() - started) / 1000;
  const states = harness.states.length - statesBefore;
  t.comment(
    `${CHANGES} changes in ${seconds.toFixed(1)} s, ${states} states; longest pause ${longest.toFixed(0)} ms`,
  );
  t.ok(states <= 4 + seconds * 4, 'changes are gathered, after the first four');

  // The test itself must not keep the old states.
  api.compact();
  harness.states.splice(0, harness.states.length - 1);
  const grown = heapInUse() - heapBefore;
  t.ok(grown < 5e6, `${grown} bytes more than before; one in ten changes kept would be as much`);
});
