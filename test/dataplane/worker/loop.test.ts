import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import t from 'tap';
import type { DataplaneEvent } from '../../../lib/dataplane/shared/messages.js';
import { EventLoop } from '../../../lib/dataplane/worker/loop.js';
import { EPOLLIN } from '../../../lib/sys/constants.js';
import { EIO } from '../../../lib/sys/errno.js';
import { Pipe } from '../../../lib/sys/pipe.js';
import { Wakeup } from '../../../lib/sys/wakeup.js';

/** More descriptors than two waits return. */
const MANY = 700;

for (const isLasting of [false, true]) {
  t.test(
    `timers fire after all events before their deadline, ${isLasting ? 'under' : 'without'} a constant load`,
    async (t) => {
      const loop = new EventLoop();
      const heard = new Set<number>();
      const wakeups = Array.from({ length: MANY }, () => Wakeup.open());
      for (const wakeup of wakeups) {
        const onReady = (fd: number) => {
          heard.add(fd);
          return isLasting ? 0 : wakeup.clear();
        };
        loop.watch(wakeup.fd, EPOLLIN, { owner: '', onReady });
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

t.test('events during a stall of the thread come before a timer that became due in it', async (t) => {
  const loop = new EventLoop();
  const wakeup = Wakeup.open();
  const order: string[] = [];
  loop.watch(wakeup.fd, EPOLLIN, {
    owner: '',
    onReady() {
      order.push('event');
      return wakeup.clear();
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

t.test('descriptors that are no longer watched do not delay timers', async (t) => {
  const loop = new EventLoop();
  const [staying, leaving] = [Wakeup.open(), Wakeup.open()];
  loop.watch(staying.fd, EPOLLIN, { owner: '', onReady: () => staying.clear() });
  loop.watch(leaving.fd, EPOLLIN, { owner: '', onReady: () => Number(t.fail('it was forgotten')) });
  leaving.signal();
  loop.unwatch(leaving.fd);
  loop.unwatch(leaving.fd);
  loop.addTask({ deadline: loop.now + 1, expire: () => loop.stop() });
  loop.run();
  t.pass();
  for (const wakeup of [staying, leaving]) wakeup.close();
});

t.test('a descriptor that is open in another process does not keep the loop busy', async (t) => {
  const loop = new EventLoop();
  const pipe = Pipe.open(4096) as Pipe;
  const ended = { owner: '', onReady: () => 0 };
  loop.watch(pipe.readEnd, EPOLLIN, ended);
  // The end of the stream stays ready while any process has the descriptor.
  closeSync(pipe.writeEnd);
  const other = spawn('sleep', ['100'], { stdio: [pipe.readEnd, 'ignore', 'ignore'] });
  t.teardown(() => other.kill());
  loop.unwatch(pipe.readEnd);
  loop.closeUnshared(pipe.readEnd);
  let waits = 0;
  const end = loop.now + 200;
  loop.addTask({
    get deadline() {
      waits++;
      return end;
    },
    expire: () => loop.stop(),
  });
  loop.run();
  // A busy loop would ask thousands of times.
  t.ok(waits <= 10, `asked ${waits} times`);
});

t.test('a descriptor that is always ready and always fails does not keep the loop busy', async (t) => {
  const events: DataplaneEvent[] = [];
  const loop = new EventLoop((event) => events.push(event));
  const wakeup = Wakeup.open();
  let tries = 0;
  let isWell = false;
  loop.watch(wakeup.fd, EPOLLIN, {
    owner: 'default/web:http',
    onReady() {
      tries++;
      if (!isWell) return EIO;
      loop.stop();
      return wakeup.clear();
    },
  });
  wakeup.signal();
  const mend = { deadline: loop.now + 550, expire };
  function expire(): void {
    mend.deadline = Number.POSITIVE_INFINITY;
    isWell = true;
  }
  loop.addTask(mend);
  loop.run();
  t.ok(tries >= 100 && tries <= 107, `${tries} tries: a hundred, and then every 100 ms`);
  t.match(events[0], { kind: 'stuck', portal: 'default/web:http', reason: 'EIO' });
  wakeup.close();
});

t.test('a descriptor that gives something now and then stays watched', async (t) => {
  const events: DataplaneEvent[] = [];
  const loop = new EventLoop((event) => events.push(event));
  const wakeup = Wakeup.open();
  let tries = 0;
  loop.watch(wakeup.fd, EPOLLIN, {
    owner: '',
    onReady() {
      if (++tries === 1000) loop.stop();
      return tries % 50 === 0 ? 0 : EIO;
    },
  });
  wakeup.signal();
  loop.run();
  t.same(events, []);
  wakeup.close();
});

t.test('a deadline too far away for epoll does not fire now', async (t) => {
  const loop = new EventLoop();
  const pipe = Pipe.open(4096) as Pipe;
  // The loop waits for the end of this program.
  spawn('sleep', ['0.3'], { stdio: ['ignore', pipe.writeEnd, 'ignore'] });
  closeSync(pipe.writeEnd);
  let waits = 0;
  loop.addTask({
    get deadline() {
      waits++;
      return loop.now + 2 ** 32 + 5;
    },
    expire: () => t.fail('it was not due'),
  });
  loop.watch(pipe.readEnd, EPOLLIN, {
    owner: '',
    onReady() {
      loop.stop();
      return 0;
    },
  });
  loop.run();
  t.ok(waits <= 4, `asked ${waits} times`);
  closeSync(pipe.readEnd);
});
