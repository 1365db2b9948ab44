import t from 'tap';
import { HeldConnections } from '../lab/client.js';
import { CarriedTcp, FAMILIES, names, sources, VIPS } from './carriedtcp.js';

/** What becomes of TCP connections that the kernel carries when the program ends, and when it comes back. */
t.setTimeout(0);

t.test('connections live on while no process runs, and new ones wait for the next', async (t) => {
  const stage = await CarriedTcp.forTest(t);
  const { client, kubePortal } = stage;
  const held = FAMILIES.map((family) =>
    HeldConnections.open(client, { address: VIPS[family], port: 82, connections: 20 }),
  );
  const answered = async () =>
    (await Promise.all(held.map((one) => one.round()))).map((reply) => reply.answered);
  t.same(await answered(), [20, 20]);

  await kubePortal.kill9();
  t.same(await answered(), [20, 20], 'nobody runs');
  const waiting = Promise.all(
    FAMILIES.map((family) => stage.ask({ address: VIPS[family], times: 4, concurrency: 4 })),
  );
  await kubePortal.startAgain();
  const [four, six] = await waiting;
  t.same(names(four ?? []), { a: 2, b: 2 }, 'those who came meanwhile');
  t.same(names(six ?? []), { a: 2, b: 2 });
  t.same(await answered(), [20, 20], 'the next process runs');
  t.same(sources(await stage.ask({ times: 4 })), { [client.address4]: 4 });
  await Promise.all(held.map((one) => one.close()));
});

t.test('clients are relayed or carried as the Service says from one moment to the next', async (t) => {
  const stage = await CarriedTcp.forTest(t, { flags: ['--workers=4'] });
  const { client, lab } = stage;
  const held = HeldConnections.open(client, { address: VIPS.IPv4, port: 82, connections: 8 });
  t.equal((await held.round()).answered, 8);
  for (const [carrier, seen] of [
    ['relay', lab.node.address4],
    ['kernel', client.address4],
    ['relay', lab.node.address4],
  ] as const) {
    const asking = stage.ask({ times: 100, concurrency: 4 });
    await stage.setCarrier(carrier);
    t.same(Object.keys(names(await asking)), ['a', 'b'], `all are served on the way to ${carrier}`);
    t.same(sources(await stage.ask({ times: 4 })), { [seen]: 4 });
  }
  t.equal((await held.round()).answered, 8, 'open connections stay as they are');
  await held.close();
});
