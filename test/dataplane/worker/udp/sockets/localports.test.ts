import fc from 'fast-check';
import t from 'tap';
import { LocalPorts } from '../../../../../lib/dataplane/worker/udp/sockets/localports.js';

const range = (count: number) => Array.from({ length: count }, (_, index) => 40_000 + index);

t.test('a quarter of the ports is not used, and no two workers have a port in common', async (t) => {
  const ports = range(1000);
  const of = (worker: number) => {
    const own = new LocalPorts<string>(ports, worker, 3).towards('10.0.0.1:53');
    return Array.from({ length: own.size }, () => own.next());
  };
  const all = [0, 1, 2].flatMap(of);
  t.equal(new Set(all).size, 750);
  t.equal(all.length, 750);
  t.ok(all.every((port) => ports.includes(port)));
});

t.test('all workers use all ports of a range that is too small to divide', async (t) => {
  const own = new LocalPorts<string>(range(1), 3, 4).towards('10.0.0.1:53');
  t.equal(own.next(), 40_000);
});

t.test('a port that is in use towards one endpoint is free towards others', async (t) => {
  const ports = new LocalPorts<string>(range(4), 0, 1);
  const one = ports.towards('10.0.0.1:53');
  const port = one.next();
  one.take(port, 'flow');
  t.equal(ports.towards('10.0.0.1:53').holder(port), 'flow');
  t.equal(ports.towards('10.0.0.2:53').holder(port), undefined);
  t.equal(ports.towards('10.0.0.1:53').used, 1);
  one.give(port);
  t.equal(ports.towards('10.0.0.1:53').holder(port), undefined);
});

t.test('all sockets to one endpoint see the same ports in use, in any order of use', async (t) => {
  const action = fc.record({ endpoint: fc.constantFrom('a' as const, 'b' as const), gives: fc.boolean() });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const ports = new LocalPorts<number>(range(8), 0, 1);
      const held: Record<'a' | 'b', number[]> = { a: [], b: [] };
      for (const [index, { endpoint, gives }] of actions.entries()) {
        // As when a socket is opened: the ports are looked up first, and another socket may be closed then.
        const own = ports.towards(endpoint);
        const port = own.next();
        if (gives || own.holder(port) !== undefined) {
          const oldest = held[endpoint].shift();
          if (oldest !== undefined) ports.towards(endpoint).give(oldest);
        }
        if (own.holder(port) !== undefined) continue;
        own.take(port, index);
        held[endpoint].push(port);
        const account = ports.towards(endpoint);
        if (account.used !== held[endpoint].length) throw new Error(`${account.used}: ${held[endpoint]}`);
        for (const each of held[endpoint]) if (account.holder(each) === undefined) throw new Error(`${each}`);
      }
    }),
  );
  t.pass();
});
