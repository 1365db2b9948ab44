import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import { nameIn } from '../lab/tally.js';

t.setTimeout(0);

const NAMES = ['a', 'b', 'c'];
const VIP = '10.96.0.10';
const EXTERNAL = '203.0.113.10';
const NODE_PORT = 30_410;
const TCP = { name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080 } as const;
const DISCOVERY = { name: 'discovery', protocol: 'UDP', port: 7410, nodePort: NODE_PORT } as const;
const DATA = { name: 'data', protocol: 'UDP', port: 7411 } as const;
const SERVICE: ServiceOptions = {
  name: 'robot',
  clusterIPs: [VIP],
  externalIPs: [EXTERNAL],
  ports: [TCP, DISCOVERY, DATA],
  affinity: true,
};

/** An RTPS message of a participant. @param prefix twelve letters */
function rtps(prefix: string): string {
  return `RTPS\x02\x05\x01\x10${prefix}\x0e\x01\x0c\x00`;
}

/** Twelve letters that begin with the four of a host. */
function prefixOf(host: string, participant: number): string {
  return `${host}${String(participant).padStart(8, '0')}`;
}

class Stage {
  private constructor(
    readonly client: Pod,
    readonly pods: readonly Pod[],
    readonly kubePortal: KubePortal,
  ) {}

  static async forTest(t: Test, redirect: 'iptables' | 'address', key: string | null): Promise<Stage> {
    const lab = await Lab.forTest(t, { pods: ['client', ...NAMES] });
    const pods = NAMES.map((name) => lab.pod(name));
    const served = { tcp: { 8080: 'name' }, udp: { 7410: 'name', 7411: 'name' } } as const;
    for (const pod of pods) await startBackend(pod, served);
    const objects = serviceWithPods(keyed(key), pods);
    // So that no flow ends meanwhile, however slow the machine is.
    const flags = ['--redirect', redirect, '--workers', '2', '--udp-timeout', '1h'];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
    return new Stage(lab.pod('client'), pods, kubePortal);
  }

  /** Gives the Service another key, or takes it away, and waits until it has its effect. */
  async setKey(key: string | null): Promise<void> {
    this.kubePortal.setManifest(serviceWithPods(keyed(key), this.pods));
    const by = key ?? 'client-ip';
    await this.kubePortal.until(
      async () => (await this.kubePortal.status()).portals.every(({ affinity }) => affinity?.by === by),
      `pins by ${by}`,
    );
  }

  /** The pods that answer some payloads, which one socket sends in turn. */
  async ask(
    payloads: readonly string[],
    { address = VIP, port = 7410, source = '' } = {},
  ): Promise<string[]> {
    const sources = source === '' ? undefined : [source];
    const request = { address, port, payloads, ...(sources && { sources }) };
    return item(await askUdp(this.client, request), 0).answers.map(nameIn);
  }

  async askTcp(source: string): Promise<string> {
    const request = { address: VIP, port: TCP.port, sources: [source], send: '?' };
    return nameIn(item(await askTcp(this.client, request), 0).text);
  }
}

function keyed(key: string | null): ServiceOptions {
  return key === null ? SERVICE : { ...SERVICE, annotations: { 'affinity-key': key } };
}

for (const redirect of ['iptables', 'address'] as const) {
  t.test(`a participant meets one replica, wherever it calls from, ${redirect}`, async (t) => {
    const stage = await Stage.forTest(t, redirect, 'rtps-participant');
    const sources = await stage.client.addAddresses(8);
    const message = rtps(prefixOf('here', 1));
    const met = new Set<string>();
    for (const source of sources) {
      for (const port of [7410, 7411]) {
        for (const pod of await stage.ask([message], { port, source })) met.add(pod);
      }
    }
    for (const pod of await stage.ask([message], { address: EXTERNAL })) met.add(pod);
    for (const pod of await stage.ask([message], { address: '10.244.0.1', port: NODE_PORT })) met.add(pod);
    t.equal(met.size, 1, `${[...met]}: on all ports and addresses, by whatever worker`);
    t.match([...met], [/^[abc]$/]);
  });
}

t.test('participants that share a socket have their own replicas', async (t) => {
  const stage = await Stage.forTest(t, 'address', 'rtps-participant');
  const participants = [1, 2, 3].map((one) => rtps(prefixOf('here', one)));
  const payloads = [...participants, ...participants, ...participants];
  const answers = await stage.ask(payloads);
  t.same(answers.slice(0, 3).sort(), NAMES, 'new ones in turn');
  t.same(answers, [...answers.slice(0, 3), ...answers.slice(0, 3), ...answers.slice(0, 3)]);
  t.same(await stage.ask(payloads, { port: 7411 }), answers, 'the same on the other port');
});

t.test('rtps-host: the participants of a host stay together', async (t) => {
  const stage = await Stage.forTest(t, 'address', 'rtps-host');
  const payloads = ['one.', 'two.'].flatMap((host) => [1, 2, 3].map((one) => rtps(prefixOf(host, one))));
  const answers = await stage.ask(payloads);
  const [first, , , second] = answers;
  t.not(first, second, 'two hosts');
  t.same(answers, [first, first, first, second, second, second]);
});

t.test('what is no RTPS, and TCP, is pinned by the client address', async (t) => {
  const stage = await Stage.forTest(t, 'address', 'rtps-participant');
  const [one = '', other = ''] = await stage.client.addAddresses(2);
  const home = await stage.askTcp(one);
  const payloads = ['no RTPS', rtps(prefixOf('here', 1)).slice(0, 19), ''];
  t.same(await stage.ask(payloads, { source: one }), [home, home, home]);
  t.same(await stage.ask(payloads, { source: one, port: 7411 }), [home, home, home]);
  t.not(await stage.askTcp(other), home);
});

t.test('who makes participants up gets no more pins than 1,024, and others keep theirs', async (t) => {
  const stage = await Stage.forTest(t, 'address', 'rtps-participant');
  const [honest = '', liar = ''] = await stage.client.addAddresses(2);
  const own = [rtps(prefixOf('here', 1)), rtps(prefixOf('here', 2))];
  const before = await stage.ask(own, { source: honest });
  const madeUp = Array.from({ length: 1030 }, (_, i) => rtps(prefixOf('liar', i)));
  const answers = await stage.ask(madeUp, { source: liar });
  t.equal(answers.length, 1030);
  t.equal(new Set(answers.slice(0, 1024)).size, 3, 'many are shared out');
  const shared = new Set(answers.slice(1024));
  t.same([...shared], [await stage.askTcp(liar)], 'further ones share the pin of the address');
  t.same(await stage.ask(own, { source: honest }), before);
  const { msg } = await stage.kubePortal.waitForLog(({ client }) => client === liar);
  t.match(msg, /more DDS participants than may have pins of their own/);
});

t.test('participants meet their replicas again after SIGKILL and a new start', async (t) => {
  const stage = await Stage.forTest(t, 'address', 'rtps-participant');
  const { kubePortal } = stage;
  const prefixes = [1, 2, 3, 4, 5, 6].map((one) => prefixOf('here', one));
  const before = await stage.ask(prefixes.map(rtps));
  t.equal(new Set(before).size, 3);
  const journal = join(kubePortal.stateDirectory, 'pins.journal');
  const isSaved = (prefix: string) =>
    readFileSync(journal, 'utf8').includes(Buffer.from(prefix).toString('hex'));
  await kubePortal.until(async () => prefixes.every(isSaved), 'the pins are saved');
  await kubePortal.kill9();
  await kubePortal.startAgain(['--redirect=address', '--workers=3']);
  const backwards = await stage.ask(prefixes.toReversed().map(rtps), { port: 7411 });
  t.same(backwards.reverse(), before);
});

t.test('the key changes while the Service is in use', async (t) => {
  const stage = await Stage.forTest(t, 'address', null);
  const participants = [1, 2, 3].map((one) => rtps(prefixOf('here', one)));
  const request = { address: VIP, port: TCP.port, connections: 8, listAnswers: true };
  const held = HeldConnections.open(stage.client, request);
  const before = await held.round();
  t.equal(before.answered, 8);
  t.equal(new Set(await stage.ask(participants)).size, 1, 'one client');
  for (const key of ['rtps-participant', 'rtps-host', null]) {
    await stage.setKey(key);
    t.equal(new Set(await stage.ask(participants)).size, key === 'rtps-participant' ? 3 : 1, `${key}`);
    t.same(await held.round(), before, 'open connections stay');
  }
  await held.close();
});

t.test('an annotation that makes no sense is refused, and the Service is served without it', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
  await startBackend(lab.pod('a'), { tcp: { 8080: 'name' } });
  const options = { ...SERVICE, affinity: false, annotations: { 'affinity-key': 'rtps-participant' } };
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(options, [lab.pod('a')]),
  });
  await kubePortal.waitForLog(({ msg }) =>
    msg.startsWith(
      'Service default/robot: metadata.annotations["kube-portal.dev/affinity-key"]: "rtps-participant" needs ',
    ),
  );
  t.match((await kubePortal.status()).portals, [{ affinity: null }, { affinity: null }, { affinity: null }]);
  const [answer] = await askTcp(lab.pod('client'), { address: VIP, port: TCP.port, send: '?' });
  t.equal(answer?.text, 'a:?');
});
