import { type ListenerGroup, openListeners } from '../dataplane/listeners.js';
import type { Portal } from '../portal/portal.js';
import type { RedirectDriver } from '../redirect/driver.js';
import { EADDRINUSE, SysError } from '../sys/errno.js';
import { steerClients } from './clientfilters.js';
import { explainOwnServer, explainProxyPort, explainRefusal } from './listenfailure.js';
import type { Placement } from './placement.js';
import type { PortalProblem } from './portalproblem.js';
import type { PortalSockets } from './portalsockets.js';
import { PortRangeError } from './portpool.js';
import type { ProxyPorts } from './proxyports.js';
import { type ListenerContext, neighboursOf, type WantedListener } from './wantedlisteners.js';

/** After so many proxy ports that other programs have, the portal waits for its next retry. */
const MAX_PORT_TRIES = 100;

export interface OpeningContext extends ListenerContext {
  readonly driver: Pick<RedirectDriver, 'captureOf' | 'unsupported' | 'bringsTraffic'>;
  /** Number of workers. */
  readonly workers: number;
  readonly ports: ProxyPorts;
}

/** A portal, and the workers in which it listens. */
export interface PlacedPortal {
  readonly portal: Portal;
  readonly onlyWorker: Placement;
  readonly context: OpeningContext;
}

/**
 * Opens the wanted listeners that a portal does not have.
 * @returns whether any was opened, and the problems
 */
export function openMissing(
  wanted: readonly WantedListener[],
  sockets: PortalSockets,
  placed: PlacedPortal,
): { readonly hasOpened: boolean; readonly problems: readonly PortalProblem[] } {
  const { portal, context } = placed;
  const problems: PortalProblem[] = [];
  let hasOpened = false;
  for (const listener of wanted) {
    if (sockets.has(listener)) continue;
    const opened = openListener(listener, placed);
    if ('message' in opened) {
      problems.push(opened);
      continue;
    }
    problems.push(...steerClients(opened, portal.policy));
    const isRedirectedTo = listener.kind === 'proxyPort' && context.driver.bringsTraffic;
    sockets.adopt(opened, isRedirectedTo ? opened.spec.port : null);
    hasOpened = true;
  }
  return { hasOpened, problems };
}

/**
 * Opens a listener. If other programs have the portal's proxy port, the portal gets another one.
 * @returns the open sockets, or the reason why there are none
 */
function openListener(wanted: WantedListener, placed: PlacedPortal): ListenerGroup | PortalProblem {
  const { ports } = placed.context;
  const { protocol, family } = placed.portal;
  const isProxyPort = wanted.kind === 'proxyPort';
  const owner = isProxyPort ? undefined : ports.ownerOf(protocol, family, wanted.port);
  if (owner !== undefined) {
    return { kind: 'waiting', missing: wanted, message: explainProxyPort(wanted, protocol, owner) };
  }
  try {
    return isProxyPort ? openOnProxyPort(wanted, placed) : openGroup(wanted, placed);
  } catch (error) {
    if (error instanceof PortRangeError) return noPort(error);
    if (error instanceof SysError) return refusal(wanted, placed, error);
    throw error;
  }
}

/** The portal has no proxy port. */
export function noPort({ message }: PortRangeError): PortalProblem {
  return { kind: 'no port', missing: null, message };
}

function openOnProxyPort(wanted: WantedListener, placed: PlacedPortal): ListenerGroup {
  let { port } = wanted;
  for (let tries = 1; ; tries++) {
    try {
      return openGroup({ ...wanted, port }, placed);
    } catch (error) {
      if (!(error instanceof SysError) || error.code !== EADDRINUSE || tries === MAX_PORT_TRIES) throw error;
      port = placed.context.ports.retake(placed.portal);
    }
  }
}

function openGroup(wanted: WantedListener, { portal, onlyWorker, context }: PlacedPortal): ListenerGroup {
  const { protocol, family } = portal;
  const { address, port, kind } = wanted;
  const neighbours = neighboursOf(wanted, portal, context);
  const freeBind = kind === 'vip';
  const spec = { protocol, family, address, port, neighbours, freeBind, onlyWorker };
  return openListeners(spec, context.workers);
}

function refusal(wanted: WantedListener, { portal, context }: PlacedPortal, error: SysError): PortalProblem {
  const { protocol } = portal;
  const isTaken = error.code === EADDRINUSE;
  const isOwn = isTaken && context.publicPorts.isOwn(protocol, wanted.port);
  const message = isOwn ? explainOwnServer(wanted, protocol) : explainRefusal(wanted, protocol, error);
  return { kind: isTaken ? 'taken' : 'refused', missing: wanted, message };
}
