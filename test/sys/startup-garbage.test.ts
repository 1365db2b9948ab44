import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { measure, type Sizes } from './startup-garbage-program.js';

t.test('pages of the heap are given back, although each has objects in use', async (t) => {
  check(t, await measure());
});

t.test('a worker gives pages of its heap back too', async (t) => {
  const worker = new Worker(new URL('./startup-garbage-program.js', import.meta.url));
  const [sizes] = (await once(worker, 'message')) as [Sizes];
  check(t, sizes);
});

function check(t: Test, { full, collected }: Sizes): void {
  t.ok(collected < full / 2, `${full} bytes before, ${collected} after`);
}
