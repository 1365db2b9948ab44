import { readdirSync } from 'node:fs';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp } from '../lab/client.js';
import { item } from '../lab/items.js';
import { RELAYED } from '../lab/kubeportal.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { Relay, VIP } from './relay.js';

const PORT = 80;
const LATE_VIP = '10.96.0.11';
/** Calls of each worker that fail. */
const FAILURES = 12;

/** So often in a row a descriptor may give nothing before it is tried ten times a second only. */
const FRUITLESS = 100;
const SLOW_TRIES = 10;

t.setTimeout(0);

/** When calls failed, seconds; null as long as there were fewer. */
function timesOfFailures({ stderr }: Program, count: number): readonly number[] | null {
  const times = [...stderr.matchAll(/(\d+\.\d{6}) .*INJECTED/g)].map(([, time]) => Number(time));
  return times.length < count ? null : times;
}

/** Lets system calls of the workers fail, but not those of the main thread: Node would end the process. */
async function failCalls(
  relay: Relay,
  call: string,
  error: string,
  when = `1..${FAILURES}`,
): Promise<Program> {
  const { pid } = relay.kubePortal.program;
  const threads = readdirSync(`/proc/${pid}/task`).filter((thread) => Number(thread) !== pid);
  const strace = relay.lab.node.spawn('strace', [
    '-ttt',
    `--trace=${call}`,
    `--inject=${call}:error=${error}:when=${when}`,
    ...threads.flatMap((thread) => ['--attach', thread]),
  ]);
  for (const thread of threads) await strace.waitForOutput(new RegExp(`${thread} attached`));
  return strace;
}

t.test('a shortage of this node is not blamed on an endpoint', async (t) => {
  const relay = await Relay.forTest(t, { tcp: [PORT], flags: [RELAYED, '--workers', '1'] });
  await startBackend(relay.server, { tcp: { [PORT]: 'name' } });
  const cases = [
    ['socket', 'EMFILE', /LimitNOFILE/],
    ['socket', 'ENFILE', /fs.file-max/],
    ['socket', 'ENOBUFS', /memory/],
    ['connect', 'EADDRNOTAVAIL', /ip_local_port_range/],
    ['connect', 'ENOMEM', /memory/],
    ['accept4', 'EMFILE', /LimitNOFILE/],
    ['accept4', 'ENFILE', /fs.file-max/],
    ['accept4', 'EPERM', /new clients wait/],
    ['epoll_ctl', 'ENOSPC', /max_user_watches/],
    ['epoll_ctl', 'ENOMEM', /memory/],
  ] as const;
  for (const [call, error, advice] of cases) {
    const before = relay.kubePortal.log.length;
    const strace = await failCalls(relay, call, error);
    const answers = await askTcp(relay.client, { address: VIP, port: PORT, times: 3, send: '?' });
    t.same(
      answers.map(({ outcome }) => outcome),
      ['answer', 'answer', 'answer'],
      `${call} ${error}`,
    );
    await strace.stop('SIGINT');
    const failures = strace.stderr.match(/INJECTED/g)?.length ?? 0;
    t.equal(failures, FAILURES, 'each time an error');
    await relay.kubePortal.waitForLog(({ msg }) => advice.test(msg));
    const lines = relay.kubePortal.log.slice(before);
    t.ok(lines.length < FAILURES, `${lines.length} lines in the log`);
  }
  const { counters } = await relay.kubePortal.status();
  t.ok(counters.every(({ connectFailures }) => connectFailures === 0));
  t.notOk(
    relay.kubePortal.log.some(({ msg }) => msg.includes('endpoint failed')),
    'no endpoint is blamed',
  );
});

t.test('a listener that epoll refuses at first is served later', async (t) => {
  const relay = await Relay.forTest(t, { tcp: [PORT], flags: [RELAYED, '--workers', '1'] });
  const { client, server, kubePortal } = relay;
  await startBackend(server, { tcp: { [PORT]: 'name' }, udp: { [PORT]: 'name' } });
  const strace = await failCalls(relay, 'epoll_ctl', 'ENOSPC');
  const ports = (['TCP', 'UDP'] as const).map((protocol) => ({
    name: protocol.toLowerCase(),
    port: PORT,
    protocol,
  }));
  kubePortal.setManifest(serviceWithPods({ name: 'late', clusterIPs: [LATE_VIP], ports }, [server]));
  for (const protocol of ['TCP', 'UDP']) {
    const line = await kubePortal.waitForLog(
      ({ portal, reason }) =>
        reason === 'ENOSPC' && String(portal).includes(`late:${protocol.toLowerCase()}`),
    );
    t.match(line.msg, /new clients wait.*max_user_watches/);
  }
  const place = { address: LATE_VIP, port: PORT };
  await kubePortal.until(async () => {
    const { text } = item(await askTcp(client, { ...place, send: '?' }), 0);
    return text === 'server:?';
  }, 'TCP is served');
  await kubePortal.until(async () => {
    const { answers } = item(await askUdp(client, place), 0);
    return answers[0] === 'server:?';
  }, 'UDP is served');
  await strace.stop('SIGINT');
});

t.test('an error that stays does not keep a worker busy, and is logged', async (t) => {
  const relay = await Relay.forTest(t, { tcp: [PORT], udp: [PORT], flags: [RELAYED, '--workers', '1'] });
  const { client, server, kubePortal } = relay;
  await startBackend(server, { tcp: { [PORT]: 'name' }, udp: { [PORT]: 'name' } });
  const place = { address: VIP, port: PORT };
  const cases = [
    ['recvmmsg', 'EIO', () => askUdp(client, { ...place, patienceMs: 2000 })],
    ['accept4', 'ECONNABORTED', () => askTcp(client, { ...place, send: '?' })],
  ] as const;
  for (const [call, error, ask] of cases) {
    const strace = await failCalls(relay, call, error, '1+');
    const asked = ask();
    const line = await kubePortal.waitForLog(({ reason }) => reason === error);
    t.match(line.msg, /gives nothing but an error.*ten times a second/, `${call} ${error}`);
    const tries = await strace.waitFor(() => timesOfFailures(strace, FRUITLESS + SLOW_TRIES), 'more tries');
    const seconds = item(tries, FRUITLESS + SLOW_TRIES - 1) - item(tries, FRUITLESS);
    t.ok(seconds > SLOW_TRIES / 20, `${SLOW_TRIES} tries took ${seconds.toFixed(2)} s`);
    await strace.stop('SIGINT');
    await asked;
    t.match(await askUdp(client, place), [{ answers: ['server:?'] }], 'UDP is served again');
    t.match(await askTcp(client, { ...place, send: '?' }), [{ text: 'server:?' }], 'TCP is served again');
  }
});
