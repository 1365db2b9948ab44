import t from 'tap';
import { LoopClock } from '../../../lib/dataplane/worker/clock.js';

t.test('the clock follows time, and moves only a little in a stall', async (t) => {
  let time = 1000;
  const clock = new LoopClock(() => time);
  const after = (elapsed: number, asleep?: number) => {
    const before = clock.now;
    time += elapsed;
    clock.read(asleep);
    return clock.now - before;
  };
  t.equal(clock.now, 1000);
  t.equal(after(3), 3, 'work takes time');
  t.equal(after(250, 250), 250, 'sleep does');
  t.equal(after(270, 250), 270, 'also where it is a little longer than meant');
  t.equal(after(7, 250), 7, 'or shorter');
  t.equal(after(1e7, Number.POSITIVE_INFINITY), 1e7, 'who sleeps until something happens is not late');
  t.equal(after(600), 50, 'stopped at work');
  t.equal(after(850, 250), 50, 'stopped in sleep');
  t.equal(after(3), 3, 'and on');
});
