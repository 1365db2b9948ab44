import fc from 'fast-check';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { askTcp } from '../lab/client.js';
import { item } from '../lab/items.js';
import { patternDigest } from '../lab/pattern.js';
import { Relay, VIP, VIP6 } from './relay.js';
import type { Talk } from './talk.js';
import { callTcp, EARLY_ANSWER, type ServerMode, TcpServer } from './tcp-peers.js';

const MEGABYTE = 1 << 20;

t.setTimeout(0);

bothCarriers('one direction can be closed while the other stays open', async (t, carrier) => {
  const relay = await Relay.forTest(t, { tcp: [1, 2], flags: [carrier] });
  const { client, server } = relay;
  await startBackend(server, { tcp: { 1: 'half-close' } });
  const witness = await TcpServer.start(server, { greet: 2 });
  for (const address of [VIP, VIP6]) {
    const request = { address, port: 1, times: 20, send: 'question', halfClose: true, until: 'end' } as const;
    const replies = await askTcp(client, request);
    t.ok(
      replies.every(({ text, outcome }) => text === 'server:8' && outcome === 'end'),
      'the client ends first',
    );
  }
  const [reply] = await callTcp(client, { mode: 'answerAfterEnd', address: VIP, port: 2 });
  t.match(reply, { text: 'hello', outcome: 'end' }, 'the server ends first');
  const [seen] = await witness.witnesses('greet', 1);
  t.match(seen, { outcome: 'end', bytes: MEGABYTE, sha256: patternDigest(MEGABYTE) }, 'and hears all');
  await relay.idle();
});

bothCarriers('a reset on one side becomes a reset on the other side', async (t, carrier) => {
  const ports = { listen: 1, deaf: 2, early: 3, pour: 4, resetLater: 5 } as const;
  const relay = await Relay.forTest(t, { tcp: Object.values(ports), flags: [carrier] });
  const { client, server, lab } = relay;
  const witness = await TcpServer.start(server, ports);

  const abort = async (mode: Parameters<typeof callTcp>[1]['mode'], to: keyof typeof ports & ServerMode) => {
    const seen = (await witness.witnesses(to, 0)).length;
    await callTcp(client, { mode, address: VIP, port: ports[to] });
    // A server that reads nothing is told of nothing; it is enough that the relay lets go of both sides.
    if (to !== 'deaf') {
      const outcome = item(await witness.witnesses(to, seen + 1), seen).outcome;
      t.match(outcome, /^(ECONNRESET|EPIPE)$/, `${mode} to ${to}`);
    }
    await relay.idle();
    t.pass(`${mode} to ${to}: both connections ended`);
  };
  await abort('abortAfterWord', 'listen');
  await abort('abortHalfClosed', 'deaf');
  await abort('abortReading', 'pour');
  await abort('abortWhenStuck', 'deaf');

  const poured = await callTcp(client, {
    mode: 'pour',
    address: VIP,
    port: ports.resetLater,
    connections: 4,
  });
  t.same(
    poured.map(({ outcome }) => /^(ECONNRESET|EPIPE)$/.test(outcome)),
    [true, true, true, true],
    'a reset while data is in flight',
  );
  const early = await callTcp(client, { mode: 'say', address: VIP, port: ports.early, connections: 8 });
  for (const { text } of early)
    t.equal(text, EARLY_ANSWER, 'the answer of a server that does not read everything arrives');
  await relay.idle();

  await callTcp(client, { mode: 'abort', address: VIP, port: ports.listen, connections: 300 });
  await callTcp(client, { mode: 'abortAfterWord', address: VIP, port: ports.listen, connections: 300 });
  await relay.idle();
  const waiting = await lab.node.must('ss', ['-Htan', 'state', 'time-wait']);
  t.equal(
    waiting.split('\n').filter((line) => /:1\b/.test(line)).length,
    0,
    'aborted connections leave no TIME_WAIT on the node',
  );
});

bothCarriers('many conversations at once arrive intact', async (t, carrier) => {
  const relay = await Relay.forTest(t, { tcp: [1], flags: [carrier] });
  await TcpServer.start(relay.server, { talk: 1 });
  const talk: fc.Arbitrary<Talk> = fc.record({
    up: fc.nat(1_500_000),
    down: fc.nat(1_500_000),
    piece: fc.constantFrom(1_000, 20_000, 70_000, 1_000_000),
    pauses: fc.constantFrom(0, 0.05, 0.3),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(talk, { minLength: 20, maxLength: 30 }),
      fc.constantFrom(VIP, VIP6),
      async (talks, address) => {
        const request = { mode: 'talk', address, port: 1, connections: talks.length, talks } as const;
        const problems = (await callTcp(relay.client, request)).filter(({ outcome }) => outcome !== 'intact');
        if (problems.length > 0) throw new Error(JSON.stringify(problems));
        await relay.idle();
      },
    ),
    { numRuns: 4, endOnFailure: true },
  );
  t.pass('all of them');
});
