import t from 'tap';
import { EventLoop } from '../../lib/dataplane/loop.js';
import { EPOLLIN } from '../../lib/sys/constants.js';
import { Wakeup } from '../../lib/sys/wakeup.js';

/** More than two waits bring. */
const MANY = 700;

for (const isLasting of [false, true]) {
  t.test(
    `timers fire after all that was ready in time, ${isLasting ? 'under' : 'without'} a load that lasts`,
    async (t) => {
      const loop = new EventLoop();
      const heard = new Set<number>();
      const wakeups = Array.from({ length: MANY }, () => Wakeup.open());
      for (const wakeup of wakeups) {
        const onReady = (fd: number) => {
          heard.add(fd);
          if (!isLasting) wakeup.clear();
        };
        loop.watch(wakeup.fd, EPOLLIN, { onReady });
        wakeup.signal();
      }
      let heardBefore = 0;
      loop.addTask({
        deadline: loop.now,
        expire() {
          heardBefore = heard.size;
          loop.stop();
        },
      });
      loop.run();
      t.equal(heardBefore, MANY);
      for (const wakeup of wakeups) wakeup.close();
    },
  );
}

t.test('what happened while the thread was held up comes before the timer that is due since', async (t) => {
  const loop = new EventLoop();
  const wakeup = Wakeup.open();
  const order: string[] = [];
  loop.watch(wakeup.fd, EPOLLIN, {
    onReady() {
      wakeup.clear();
      order.push('event');
    },
  });
  const started = loop.now;
  const hold: { deadline: number; expire(): void } = {
    deadline: 0,
    expire() {
      hold.deadline = Number.POSITIVE_INFINITY;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      wakeup.signal();
    },
  };
  loop.addTask(hold);
  loop.addTask({
    deadline: started + 20,
    expire() {
      order.push('timer');
      loop.stop();
    },
  });
  loop.run();
  t.same(order, ['event', 'timer']);
  wakeup.close();
});

t.test('descriptors that are forgotten do not keep timers waiting', async (t) => {
  const loop = new EventLoop();
  const [staying, leaving] = [Wakeup.open(), Wakeup.open()];
  loop.watch(staying.fd, EPOLLIN, { onReady: () => staying.clear() });
  loop.watch(leaving.fd, EPOLLIN, { onReady: () => t.fail('it was forgotten') });
  leaving.signal();
  loop.unwatch(leaving.fd);
  loop.unwatch(leaving.fd);
  loop.addTask({ deadline: loop.now + 1, expire: () => loop.stop() });
  loop.run();
  t.pass();
  for (const wakeup of [staying, leaving]) wakeup.close();
});
