import { randomUUID } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Family } from '../model/portal.js';
import { ProgramHung } from './command.js';
import { RedirectError } from './driver.js';
import { type Features, GUARD_TOP, guardRule, PROBE_CHAIN, targetRule } from './rules.js';
import type { Xtables } from './xtables.js';

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const;
/** Where the probe datagram is sent. Port 9 is for discarding (RFC 863): nobody misses it for some milliseconds. */
const PROBE_PORT = 9;
const RESEND_MS = 50;
const PATIENCE_MS = 1000;

/**
 * Finds out what this back end can do for a family, by doing it: a redirect is installed and a datagram is sent
 * through it, as modules that are missing, policies and half-made tables show up only then. Leaves nothing behind.
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
  const receiver = await listen(family, isWildcard(bindAddress) ? LOOPBACK[family] : bindAddress);
  try {
    const match = `-d ${LOOPBACK[family]} -p udp -m udp --dport ${PROBE_PORT}`;
    const target = targetRule(bindAddress, receiver.address().port);
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

/** What the kernel has not, it refuses to load. @throws ProgramHung */
async function accepts(xtables: Xtables, table: string, rules: readonly string[]): Promise<boolean> {
  const install = rules.map((rule) => `-A ${PROBE_CHAIN} ${rule}`);
  try {
    await withRules(xtables, table, { install, remove: [] }, async () => {});
    return true;
  } catch (error) {
    if (error instanceof ProgramHung) throw error;
    return false;
  }
}

async function withRules(
  xtables: Xtables,
  table: string,
  { install, remove }: { install: readonly string[]; remove: readonly string[] },
  body: () => Promise<void>,
): Promise<void> {
  const script = (lines: readonly string[]) =>
    [`*${table}`, `:${PROBE_CHAIN} - [0:0]`, ...lines, 'COMMIT', ''].join('\n');
  await xtables.restore(script(install));
  try {
    await body();
  } finally {
    await xtables.restore(script([...remove, `-X ${PROBE_CHAIN}`]));
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

/** Sends to the probe port until the datagram arrives at `receiver`, which only a redirect can do. */
async function expectDatagram(family: Family, receiver: Socket): Promise<void> {
  const token = randomUUID();
  const sender = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
  let failure: Error | null = null;
  // A refusal is what a datagram meets that was not redirected.
  const send = () => sender.send(token, PROBE_PORT, LOOPBACK[family], (error) => (failure = error));
  const again = setInterval(send, RESEND_MS);
  try {
    send();
    await new Promise<void>((resolve, reject) => {
      receiver.on('message', (message) => {
        if (message.toString() === token) resolve();
      });
      setTimeout(() => reject(failure ?? new Error('the datagram did not arrive')), PATIENCE_MS).unref();
    });
  } catch (error) {
    throw new RedirectError(
      `a rule was accepted but redirects nothing (${(error as Error).message}): is the loopback device up?`,
    );
  } finally {
    clearInterval(again);
    sender.close();
  }
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
