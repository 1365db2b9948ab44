import { Dataplane, type DataplaneOptions } from '../dataplane/dataplane.js';
import { probeSteering } from '../dataplane/listeners.js';
import { FAMILIES, type Family } from '../net/address.js';
import type { RedirectDriver } from '../redirect/driver.js';
import { StateDir } from '../state/statedir.js';
import { mappingOf, PORTS_FILE, StateFile, StateMemory } from '../state/statefile.js';
import { raiseDescriptorLimit } from '../sys/limits.js';
import type { NodeContext } from './activeportal.js';
import { ActivePortals } from './activeportals.js';
import { Backlog } from './backlog.js';
import { Capacity } from './capacity.js';
import { Carriers } from './carriers.js';
import { ForwardingWatch } from './forwardingwatch.js';
import { NodeLock } from './nodelock.js';
import type { ProxyOptions } from './options.js';
import { PinMemory } from './pinmemory.js';
import { Placements } from './placement.js';
import { familyOfKey } from './portspace.js';
import { ProxyPorts } from './proxyports.js';
import { PublicPorts } from './publicports.js';
import { Redirects } from './redirects.js';

/** The parts of a proxy. They are open from its start to its stop. */
export interface ProxyParts {
  readonly lock: NodeLock;
  readonly state: StateDir;
  readonly portMemory: StateMemory;
  readonly pinMemory: PinMemory;
  readonly driver: RedirectDriver;
  readonly dataplane: Dataplane;
  readonly forwarding: ForwardingWatch;
  readonly context: NodeContext;
  readonly portals: ActivePortals;
  readonly redirects: Redirects;
  readonly backlog: Backlog;
}

/**
 * Takes the lock of the node, and then opens what the proxy needs.
 * @throws Error that says what to do, see {@link ServiceProxy.start}. Then the
 * workers are stopped, and the lock is released.
 */
export async function assemble(
  options: ProxyOptions,
  openDriver: () => Promise<RedirectDriver>,
): Promise<ProxyParts> {
  const lock = NodeLock.take();
  let state: StateDir | undefined;
  let dataplane: Dataplane | undefined;
  try {
    state = await StateDir.open(options.stateDir, options.log);
    const portMemory = memoryOfPorts(options);
    const capacity = new Capacity(raiseDescriptorLimit());
    const both = await startBoth(openDriver, {
      workers: options.workers,
      descriptors: capacity.forTraffic,
      maxFlows: capacity.maxFlows,
      maxPins: options.maxPins,
      udpTimeoutMs: options.udpTimeoutMs,
      rtpsCopies: options.rtpsCopies,
      carrier: options.carrier,
    });
    const { driver } = both;
    dataplane = both.dataplane;
    const pinMemory = await PinMemory.open(options.stateDir, dataplane, options.log);
    const portals = new ActivePortals();
    const forwarding = new ForwardingWatch({ driver, dataplane, log: options.log });
    const backlog = new Backlog();
    const { carrier, workers, log } = options;
    const redirects = new Redirects(driver, backlog, log);
    const carriers = new Carriers({ options: carrier, workers, redirects, dataplane, forwarding, log });
    const context = await nodeContext(options, portMemory, { capacity, driver, portals, carriers });
    const memories = { portMemory, pinMemory };
    return { lock, state, ...memories, driver, dataplane, forwarding, context, portals, redirects, backlog };
  } catch (error) {
    await dataplane?.stop();
    await state?.removeIfEmpty();
    state?.release();
    lock.release();
    throw error;
  }
}

/**
 * Starts the workers while the driver finds out what works on this node.
 * @throws the error of the one that failed; then the other is stopped
 */
async function startBoth(
  openDriver: () => Promise<RedirectDriver>,
  options: DataplaneOptions,
): Promise<{ driver: RedirectDriver; dataplane: Dataplane }> {
  const [driver, dataplane] = await Promise.allSettled([openDriver(), Dataplane.start(options)]);
  if (dataplane.status === 'rejected') throw dataplane.reason;
  if (driver.status === 'fulfilled') return { driver: driver.value, dataplane: dataplane.value };
  await dataplane.value.stop();
  throw driver.reason;
}

function memoryOfPorts({ stateDir, log }: ProxyOptions): StateMemory {
  return new StateMemory(new StateFile(stateDir, PORTS_FILE), log, {
    what: 'the proxy ports',
    loss: 'after a restart, portals may get other proxy ports, which breaks open UDP flows',
  });
}

interface SharedParts {
  readonly capacity: Capacity;
  readonly driver: RedirectDriver;
  readonly portals: ActivePortals;
  readonly carriers: Carriers;
}

/** What all portals of this node share. */
async function nodeContext(
  options: ProxyOptions,
  portMemory: StateMemory,
  { capacity, driver, portals, carriers }: SharedParts,
): Promise<NodeContext> {
  const publicPorts = new PublicPorts();
  const saved = await savedPorts(driver, portMemory);
  return {
    workers: options.workers,
    driver,
    bindAddress: options.bindAddress,
    nodeAddresses: options.nodeAddresses,
    ports: new ProxyPorts(options.proxyPortRange, saved, publicPorts),
    publicPorts,
    carriers,
    placements: new Placements(options.workers, probeSteering(), capacity, (policy) =>
      carriers.mayCarryAny(policy),
    ),
    capacity,
    idOf: (key) => portals.idOf(key),
    isVip: (protocol, place) => portals.isVip(protocol, place),
  };
}

/** The ports that an earlier run saved, without those of families that have no proxy ports in this run. */
async function savedPorts(driver: RedirectDriver, memory: StateMemory): Promise<unknown> {
  const hasPorts = (family: Family) => driver.captureOf(family) === 'port';
  if (!FAMILIES.some(hasPorts)) return null;
  const saved = (await memory.recall(mappingOf)) ?? {};
  return Object.fromEntries(Object.entries(saved).filter(([key]) => hasPorts(familyOfKey(key))));
}
