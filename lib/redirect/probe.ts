import { randomUUID } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { type Family, WILDCARD } from '../net/address.js';
import { RedirectError } from './driver.js';
import { GUARD_TOP, guardRule } from './filtertable.js';
import { proxyTarget } from './nattable.js';
import { type Features, PROBE_CHAIN } from './rules.js';
import { accepts, withRules } from './tryrules.js';
import type { Xtables } from './xtables.js';

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const;
/** The discard port (RFC 863). For some milliseconds, no other program needs it. */
const PROBE_PORT = 9;
const RESEND_MS = 50;
/** A count, not a time: on a busy machine, a datagram may need long to arrive. */
const MAX_SENDS = 20;

/**
 * Finds out what this back end can do for a family. It installs a redirect and sends a datagram through it:
 * only this shows missing modules, policies and incomplete tables. Then it removes the redirect.
 * @param bindAddress where the proxy ports will listen
 * @throws RedirectError if redirecting does not work
 */
export async function probe(xtables: Xtables, bindAddress: string): Promise<Features> {
  const comment = await accepts(xtables, 'nat', ['-m comment --comment "a:b" -j RETURN']);
  await redirectDatagram(xtables, bindAddress);
  for (const guard of ['REJECT', 'DROP'] as const) {
    const rules = [...GUARD_TOP, guardRule(xtables.family, PROBE_PORT, guard)];
    if (await accepts(xtables, 'filter', rules)) return { comment, guard };
  }
  return { comment, guard: null };
}

async function redirectDatagram(xtables: Xtables, bindAddress: string): Promise<void> {
  const { family } = xtables;
  const receiver = await listen(family, bindAddress === WILDCARD[family] ? LOOPBACK[family] : bindAddress);
  try {
    const match = `-d ${LOOPBACK[family]} -p udp -m udp --dport ${PROBE_PORT}`;
    const target = proxyTarget(bindAddress, receiver.address().port);
    const hook = `OUTPUT ${match} -j ${PROBE_CHAIN}`;
    await withRules(
      xtables,
      'nat',
      { install: [`-A ${PROBE_CHAIN} ${match} ${target}`, `-I ${hook}`], remove: [`-D ${hook}`] },
      () => expectDatagram(family, receiver),
    );
  } finally {
    receiver.close();
  }
}

async function listen(family: Family, address: string): Promise<Socket> {
  const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
  try {
    socket.bind(0, address);
    await once(socket, 'listening');
    return socket;
  } catch (error) {
    throw new RedirectError(
      `cannot bind ${address} to try a redirect (${(error as Error).message}): is the loopback device up?`,
    );
  }
}

/** Sends to the probe port until a datagram arrives at `receiver`. Only a redirect can bring it there. */
async function expectDatagram(family: Family, receiver: Socket): Promise<void> {
  const token = randomUUID();
  let hasArrived = false;
  const arrival = new Promise<void>((resolve) => {
    receiver.on('message', (message) => {
      if (message.toString() !== token) return;
      hasArrived = true;
      resolve();
    });
  });
  let failure: Error | null = null;
  for (let sends = 0; sends < MAX_SENDS && !hasArrived; sends++) {
    failure = await sendToProbePort(family, token);
    await Promise.race([arrival, setTimeout(RESEND_MS)]);
  }
  if (hasArrived) return;
  const reason = failure?.message ?? 'the datagram did not arrive';
  throw new RedirectError(
    `a rule was accepted but redirects nothing (${reason}): is the loopback device up?`,
  );
}

/**
 * Sends from a new port each time: conntrack remembers the way of a used port for 30 s, and it may be the way
 * of an earlier probe. Resolves to the error if the kernel refuses the datagram.
 */
function sendToProbePort(family: Family, token: string): Promise<Error | null> {
  const sender = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
  return new Promise((resolve) => {
    sender.send(token, PROBE_PORT, LOOPBACK[family], (error) => {
      sender.close();
      resolve(error);
    });
  });
}
