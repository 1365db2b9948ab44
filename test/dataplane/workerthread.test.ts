import { once } from 'node:events';
import t, { type Test } from 'tap';
import { PortalIds } from '../../lib/dataplane/portalids.js';
import { DescriptorBudget } from '../../lib/dataplane/shared/budget.js';
import { createPinCellMemory } from '../../lib/dataplane/shared/pincells.js';
import { FIRST_PAGE, type SessionsQuestion } from '../../lib/dataplane/shared/sessions.js';
import { WorkerThread } from '../../lib/dataplane/workerthread.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';

const ALL: SessionsQuestion = { from: FIRST_PAGE, maxListed: 10, service: null, client: null };
/** A descriptor that no process has open. A worker that has to listen on it fails. */
const NOT_OPEN = 1_000_000;

function startThread(t: Test): WorkerThread {
  const ids = new PortalIds(1);
  const thread = new WorkerThread({
    index: 0,
    workers: 1,
    counters: ids.counterMemory,
    roundRobin: ids.roundRobinMemory,
    pinCells: createPinCellMemory(),
    budget: new DescriptorBudget().memory,
    maxFlows: 10,
    maxPins: 10,
    udpTimeoutMs: null,
    rtpsCopies: 1000,
    carrier: {
      queues: null,
      ownMark: 0,
      ownMask: 0,
      heldMarks: [],
      isMarkShared: false,
      clusterCidrs: [],
    },
  });
  t.teardown(() => thread.stop());
  return thread;
}

t.test('many questions at once get their own answers, in the order of the questions', async (t) => {
  const thread = startThread(t);
  const answered: string[] = [];
  const note = (name: string) => () => answered.push(name);
  const asked = [
    thread.ask('apply', { set: [], remove: [] }).then(note('change')),
    thread.ask('sessions', ALL).then(note('first page')),
    thread.ask('sessions', { ...ALL, client: 'nobody' }).catch(note('no answer')),
    thread.ask('sessions', { ...ALL, from: { protocol: 'UDP', position: 0 } }).then(note('last page')),
  ];
  await Promise.all(asked);
  t.same(answered, ['change', 'first page', 'no answer', 'last page']);
});

t.test('a worker answers all of hundreds of listings, and relays between them', async (t) => {
  const thread = startThread(t);
  const listings = Array.from({ length: 300 }, () => thread.ask('sessions', ALL));
  const change = thread.ask('apply', { set: [], remove: [] });
  t.equal((await Promise.all(listings)).length, 300);
  t.equal(await change, null, 'what waits behind them has its turn');
});

t.test('a question that fails is rejected with the reason, and the worker goes on', async (t) => {
  const thread = startThread(t);
  thread.on('failed', (error) => t.fail(error.message));
  await t.rejects(thread.ask('sessions', { ...ALL, client: 'nobody' }), {
    message: 'not an IP address: nobody',
  });
  t.same(await thread.ask('sessions', ALL), {
    sessions: [],
    loads: [],
    next: { protocol: 'UDP', position: 0 },
  });
});

t.test('all questions to a worker that has failed are rejected', async (t) => {
  const thread = startThread(t);
  const failed = once(thread, 'failed');
  const change = thread.ask('apply', {
    set: [
      {
        id: 1,
        key: 'default/web:/TCP/IPv4',
        service: 'default/web',
        protocol: 'TCP',
        family: 'IPv4',
        listeners: [{ fd: NOT_OPEN, redirectedPort: null }],
        endpoints: [],
        policy: DEFAULT_POLICY,
        carriage: null,
        admission: EVERYONE,
      },
    ],
    remove: [],
  });
  const behind = thread.ask('sessions', ALL);
  await t.rejects(change, /EBADF/, 'the question that it ended with');
  await t.rejects(behind, /EBADF/, 'the one that waited behind');
  t.match(await failed, [/EBADF/]);
  await t.rejects(thread.ask('sessions', ALL), /EBADF/, 'a later one');
});

t.test('questions to a stopped worker are rejected, and that is not reported as a failure', async (t) => {
  const thread = startThread(t);
  thread.on('failed', (error) => t.fail(error.message));
  await thread.ask('apply', { set: [], remove: [] });
  const stopped = thread.stop();
  await thread.ask('sessions', ALL).catch(() => null);
  t.pass('who asks while it stops does not wait for ever');
  await stopped;
  await t.rejects(thread.ask('sessions', ALL), /relay worker 0 ended/, 'asked afterwards');
});
