import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askUdp } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { settled } from '../lab/settled.js';
import { count, nameIn } from '../lab/tally.js';
import { VIP, VIP6 } from './relay.js';

t.setTimeout(0);

const PORT = 53;
const NAMES = ['a', 'b', 'c'];

class Stage {
  private constructor(
    readonly lab: Lab,
    readonly kubePortal: KubePortal,
    readonly programs: ReadonlyMap<string, Program>,
  ) {}

  static async forTest(t: Tap): Promise<Stage> {
    const lab = await Lab.forTest(t, { pods: ['client', ...NAMES], link: 'point to point' });
    const programs = new Map<string, Program>();
    for (const name of NAMES) {
      programs.set(name, await startBackend(lab.pod(name), { udp: { [PORT]: 'name' } }));
    }
    const flags = ['--redirect=iptables', '--carrier=kernel', '--workers=1'];
    const objects = objectsFor(NAMES.map((name) => lab.pod(name)));
    return new Stage(lab, await KubePortal.forTest(t, lab.node, { objects, flags }), programs);
  }

  /** Who has answered look-ups, each of a socket of its own. */
  async lookUp(address: string, times: number): Promise<Record<string, number>> {
    const request = { address, port: PORT, sockets: times, concurrency: 4, patienceMs: 20_000 };
    const replies = await askUdp(this.lab.pod('client'), request);
    return count(replies.map(({ answers }) => nameIn(item(answers, 0))));
  }

  /** Leaves these pods behind the VIP. Resolves once kube-portal knows. */
  async leave(names: readonly string[]): Promise<void> {
    this.kubePortal.setManifest(objectsFor(names.map((name) => this.lab.pod(name))));
    await settled(this.kubePortal, names.length);
  }
}

function objectsFor(pods: readonly Pod[]) {
  return serviceWithPods(
    { name: 'web', clusterIPs: [VIP, VIP6], ports: [{ port: PORT, protocol: 'UDP' }] },
    pods,
  );
}

for (const address of [VIP, VIP6]) {
  t.test(`no look-up is lost while endpoints come and go, ${address}`, async (t) => {
    const stage = await Stage.forTest(t);
    t.same(Object.keys(await stage.lookUp(address, 30)).sort(), NAMES);
    const lookups = [stage.lookUp(address, 2000), stage.lookUp(address, 2000)];
    for (const names of [['b', 'c'], NAMES, ['a', 'c'], NAMES]) await stage.leave(names);
    for (const seen of await Promise.all(lookups)) {
      t.same(
        Object.keys(seen).filter((name) => !NAMES.includes(name)),
        [],
      );
    }
    await stage.leave(['b']);
    // The client uses ports again, and entries end a moment later.
    await stage.kubePortal.until(
      async () => (await stage.lookUp(address, 30)).b === 30,
      'the others are left',
    );
  });

  t.test(`no look-up is lost when an endpoint dies, ${address}`, async (t) => {
    const stage = await Stage.forTest(t);
    const lookups = stage.lookUp(address, 2000);
    await stage.programs.get('a')?.stop('SIGKILL');
    const seen = await lookups;
    t.same(
      Object.keys(seen).filter((name) => !NAMES.includes(name)),
      [],
    );
    t.same(Object.keys(await stage.lookUp(address, 30)).sort(), ['b', 'c']);
  });
}

type Tap = Parameters<typeof Lab.forTest>[0];
