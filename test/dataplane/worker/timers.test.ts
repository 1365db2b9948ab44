import t from 'tap';
import { TimerEntry, TimerList } from '../../../lib/dataplane/worker/timers.js';

class Entry extends TimerEntry {
  constructor(readonly fire: (now: number) => void) {
    super();
  }

  onTimer(now: number): void {
    this.fire(now);
  }
}

t.test('timers fire in order, each once, when they are due', async (t) => {
  const list = new TimerList(100);
  const fired: string[] = [];
  const entries = [...'abc'].map((name) => new Entry(() => fired.push(name)));
  t.equal(list.deadline, Number.POSITIVE_INFINITY);
  for (const [i, entry] of entries.entries()) list.start(entry, i * 10);
  t.equal(list.deadline, 100);
  list.expire(99);
  t.same(fired, []);
  list.expire(110);
  t.same(fired, ['a', 'b']);
  t.equal(list.deadline, 120);
  list.expire(1000);
  t.same(fired, ['a', 'b', 'c']);
  t.equal(list.deadline, Number.POSITIVE_INFINITY);
});

t.test('a timer can be stopped anywhere, started again, and moved to another list', async (t) => {
  const [short, long] = [new TimerList(10), new TimerList(100)];
  const fired: string[] = [];
  const entry = (name: string) => new Entry(() => fired.push(name));
  const [a, b, c] = [entry('a'), entry('b'), entry('c')];
  for (const each of [a, b, c]) short.start(each, 0);
  short.stop(b);
  short.stop(b);
  long.stop(a);
  short.start(a, 5);
  long.start(c, 0);
  short.expire(10);
  t.same(fired, [], 'the first was started again');
  short.expire(15);
  long.expire(100);
  t.same(fired, ['a', 'c']);
});

t.test('a timer may start itself and stop others while it fires', async (t) => {
  const list = new TimerList(10);
  const fired: string[] = [];
  const other = new Entry(() => fired.push('other'));
  const self: Entry = new Entry((now) => {
    fired.push('self');
    list.stop(other);
    list.start(self, now);
  });
  list.start(self, 0);
  list.start(other, 0);
  list.expire(10);
  t.same(fired, ['self']);
  t.equal(list.deadline, 20);
});
