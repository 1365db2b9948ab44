import t from 'tap';
import { portsToReuse, ReusedPorts } from '../../../../lib/dataplane/worker/tcp/reusedports.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** The odd numbers from one to another. */
function odd(first: number, last: number): Uint16Array {
  return Uint16Array.from({ length: (last - first + 1) / 2 }, (_, i) => first + 1 + 2 * i);
}

/** Takes ports until none is left. */
function takeAll(ports: ReusedPorts, now: number): number[] {
  const taken: number[] = [];
  for (let port = ports.take(now); port !== 0; port = ports.take(now)) taken.push(port);
  return taken;
}

t.test('each worker has its own ports, and every second port is left to the kernel', async (t) => {
  const local = [100, 101, 102, 103, 104, 107, 108, 109, 110, 111, 112];
  t.same([...portsToReuse(local, 0, 2)], [101, 109]);
  t.same([...portsToReuse(local, 1, 2)], [103, 107, 111]);
});

t.test(
  'a port that has rested for a second is taken before a new one, the longest rested first',
  async (t) => {
    const ports = new ReusedPorts(odd(100, 199));
    const [first, second] = [ports.take(0), ports.take(0)];
    ports.giveBack(second, 10);
    ports.giveBack(first, 20);
    t.equal(ports.take(900), 105, 'none has rested');
    t.equal(ports.take(1015), second);
    t.equal(ports.take(1015), 107);
    t.equal(ports.take(1020), first);
  },
);

t.test('a port that has not rested is taken if no new one is left', async (t) => {
  const ports = new ReusedPorts(odd(100, 103));
  t.same(takeAll(ports, 0), [101, 103]);
  ports.giveBack(103, 5);
  t.equal(ports.take(5), 103);
});

t.test('after three refusals, ports are taken again only after TIME_WAIT', async (t) => {
  const ports = new ReusedPorts(odd(100, 119));
  const used = [ports.take(0), ports.take(0), ports.take(0), ports.take(0)];
  ports.setCrowded(0);
  for (const port of used) ports.giveBack(port, 0);
  for (let i = 0; i < 3; i++) ports.refused(ports.take(SECOND), SECOND);
  const rest = takeAll(ports, 2 * SECOND);
  t.same(rest, [109, 111, 113, 115, 117, 119], 'only new ones, and then none');
  t.equal(ports.take(59 * SECOND), 0);
  t.equal(ports.take(MINUTE), used[3], 'the one that was not tried has waited since its end');
});

t.test('many closes within a minute or two make an endpoint crowded', async (t) => {
  const ports = new ReusedPorts(odd(1, 400));
  for (let i = 0; i < 99; i++) ports.noteClose(i / 2);
  t.notOk(ports.isCrowded(50), 'a quarter is not reached yet');
  ports.noteClose(51);
  t.ok(ports.isCrowded(52));
  t.ok(ports.isCrowded(MINUTE + SECOND), 'those of the minute before count');
  t.notOk(ports.isCrowded(2 * MINUTE + SECOND));
});

t.test('an endpoint is forgotten when it is quiet and all its ports are given back', async (t) => {
  const ports = new ReusedPorts(odd(1, 100));
  ports.noteClose(0);
  const port = ports.take(0);
  t.notOk(ports.isForgotten(3 * MINUTE));
  ports.giveBack(port, 3 * MINUTE);
  t.ok(ports.isForgotten(3 * MINUTE));
});
