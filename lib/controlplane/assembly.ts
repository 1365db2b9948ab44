import { Dataplane, type DataplaneOptions } from '../dataplane/dataplane.js';
import { probeSteering } from '../dataplane/listeners.js';
import { FAMILIES, type Family } from '../net/address.js';
import type { RedirectDriver } from '../redirect/driver.js';
import { mappingOf, PORTS_FILE, StateFile, StateMemory } from '../state/statefile.js';
import type { PortalContext } from './activeportal.js';
import type { ActivePortals } from './activeportals.js';
import type { Capacity } from './capacity.js';
import type { ProxyOptions } from './options.js';
import { Placements } from './placement.js';
import { familyOfKey } from './portspace.js';
import { ProxyPorts } from './proxyports.js';
import { PublicPorts } from './publicports.js';

/**
 * Starts the workers while the driver finds out what works on this node.
 * @throws the error of the one that failed; then the other is stopped
 */
export async function startBoth(
  openDriver: () => Promise<RedirectDriver>,
  options: DataplaneOptions,
): Promise<[RedirectDriver, Dataplane]> {
  const [driver, dataplane] = await Promise.allSettled([openDriver(), Dataplane.start(options)]);
  if (dataplane.status === 'rejected') throw dataplane.reason;
  if (driver.status === 'fulfilled') return [driver.value, dataplane.value];
  await dataplane.value.stop();
  throw driver.reason;
}

export function memoryOfPorts({ stateDir, log }: ProxyOptions): StateMemory {
  return new StateMemory(new StateFile(stateDir, PORTS_FILE), log, {
    what: 'the proxy ports',
    loss: 'after a restart, portals may get other proxy ports, which breaks open UDP flows',
  });
}

/** What all portals of this node share. */
export async function portalContext(
  options: ProxyOptions,
  portMemory: StateMemory,
  capacity: Capacity,
  driver: RedirectDriver,
  portals: ActivePortals,
): Promise<PortalContext> {
  const publicPorts = new PublicPorts();
  const saved = await savedPorts(driver, portMemory);
  return {
    workers: options.workers,
    driver,
    bindAddress: options.bindAddress,
    nodeAddresses: options.nodeAddresses,
    ports: new ProxyPorts(options.proxyPortRange, saved, publicPorts),
    publicPorts,
    placements: new Placements(options.workers, probeSteering(), capacity),
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
