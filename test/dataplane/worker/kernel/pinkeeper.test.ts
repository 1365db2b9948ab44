import t from 'tap';
import { PinKeeper } from '../../../../lib/dataplane/worker/kernel/pinkeeper.js';
import { VipTable } from '../../../../lib/dataplane/worker/kernel/viptable.js';
import { EventLoop } from '../../../../lib/dataplane/worker/loop.js';
import { pinKeyText } from '../../../../lib/dataplane/worker/pinkey.js';
import { DEFAULT_POLICY } from '../../../../lib/portal/policy.js';
import { conntrackSetting } from '../../../../lib/sys/conntracksettings.js';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../../lib/sys/constants.js';
import { STATUS } from '../../../../lib/sys/netlink/flow.js';
import { FlowReader } from '../../../../lib/sys/netlink/flowreader.js';
import { servedPortal } from '../fixtures.js';

const VIP = { address: '10.96.0.1', port: 80, masquerade: 'always' } as const;
/** A quarter of it is the time between two readings. */
const TIMEOUT_MS = 40_000;
const OWN_BIT = 0x4000_0000;
const STREAM_SECONDS = conntrackSetting('udp_timeout_stream') ?? 120;
const OTHER_SECONDS = conntrackSetting('udp_timeout') ?? 30;

interface FlowOptions {
  readonly client?: string;
  readonly vip?: string;
  readonly protocol?: FlowReader['protocol'];
  readonly status?: number;
  readonly timeout?: number | null;
}

function flow({
  client = '10.0.0.1',
  vip = VIP.address,
  protocol = IPPROTO_UDP,
  status = STATUS.assured,
  timeout = STREAM_SECONDS,
}: FlowOptions = {}): FlowReader {
  const reader = Object.assign(new FlowReader(), { protocol, status, timeout });
  reader.client.set(client, 4000);
  reader.vip.set(vip, VIP.port);
  return reader;
}

/** A portal whose clients have pins, or not, and what is kept of them while the table has these flows. */
function stageFor(flows: readonly FlowReader[], timeoutMs: number | null = TIMEOUT_MS) {
  const affinity = timeoutMs === null ? null : ({ by: 'client-ip', timeoutMs } as const);
  const portal = servedPortal({ protocol: 'UDP', policy: { ...DEFAULT_POLICY, affinity } });
  const kept: string[] = [];
  portal.balancer.refresh = (key) => kept.push(pinKeyText(key));
  const portals = new VipTable();
  portals.set(portal, [VIP]);
  const asked: number[][] = [];
  const conntrack = {
    *visit(marks: readonly number[], mask: number, onFlow: (flow: FlowReader) => void) {
      asked.push([...marks, mask]);
      for (const one of flows) {
        yield;
        onFlow(one);
      }
    },
  };
  const loop = new EventLoop();
  return { loop, portal, kept, asked, keeper: new PinKeeper(loop, portals, conntrack, OWN_BIT) };
}

/** Does all steps of a reading. */
function read(keeper: PinKeeper): void {
  do keeper.expire();
  while (keeper.deadline === 0);
}

t.test('the pin of a client is kept whose flow the kernel carries', async (t) => {
  const { keeper, kept, asked, loop } = stageFor([flow(), flow({ client: '10.0.0.2' })]);
  t.equal(keeper.deadline, loop.now + TIMEOUT_MS / 4);
  read(keeper);
  t.same(kept, ['10.0.0.1', '10.0.0.2']);
  t.same(asked, [[OWN_BIT, OWN_BIT]], 'the entries of all workers');
  t.equal(keeper.deadline, loop.now + TIMEOUT_MS / 4, 'and again');
});

t.test('only of a flow that was used since the last reading, as far as the kernel tells', async (t) => {
  const idle = TIMEOUT_MS / 4 / 1000 + 1;
  const { keeper, kept } = stageFor([
    flow({ client: '10.0.0.1', timeout: STREAM_SECONDS - idle }),
    flow({ client: '10.0.0.2', timeout: OTHER_SECONDS - idle, status: STATUS.seenReply }),
    flow({ client: '10.0.0.3', timeout: OTHER_SECONDS - 1, status: 0 }),
    flow({ client: '10.0.0.4', timeout: null }),
  ]);
  read(keeper);
  t.same(kept, ['10.0.0.3', '10.0.0.4']);
});

t.test('TCP connections and flows to other VIPs keep no pin', async (t) => {
  const { keeper, kept } = stageFor([flow({ protocol: IPPROTO_TCP }), flow({ vip: '10.96.0.2' })]);
  read(keeper);
  t.same(kept, []);
});

t.test('the table is not read while no client has a pin', async (t) => {
  const { keeper, portal, loop } = stageFor([flow()], null);
  t.equal(keeper.deadline, Number.POSITIVE_INFINITY);
  keeper.watch(portal);
  t.equal(keeper.deadline, Number.POSITIVE_INFINITY);
  keeper.watch(
    servedPortal({ policy: { ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: 1000 } } }),
  );
  t.equal(keeper.deadline, loop.now + 1000, 'the kernel tells idle times in whole seconds');
});
