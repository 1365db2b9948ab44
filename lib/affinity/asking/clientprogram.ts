/** The thread that asks. `Clients` starts it and sends it tasks. It has the clients' addresses. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { familyOf } from '../../net/address.js';
import type { Link, Observation } from '../observation.js';
import { bringUpClients } from './clientnetwork.js';
import type { ClientSetup, FromClients, Task, Tasks } from './clienttasks.js';
import { type Moment, Prober } from './prober.js';
import { shuffled } from './shuffle.js';
import { SteadyProbes } from './steadyprobes.js';

/** Questions at a time. With more, questions would wait for this thread and not for the Service. */
const LANES = 16;
/** Any port will do to find a route: nothing is sent. */
const DISCARD_PORT = 9;

const setup = workerData as ClientSetup;
const clients = await addressesOf(setup);
const prober = new Prober(setup);
let steady: SteadyProbes | null = null;

const tasks: Tasks = {
  identify: ({ port, kinds }) => prober.identify(clients[0] as string, port, kinds),
  askEach: ({ links, ...moment }) => askEach(shuffled(links), moment),
  async beginSteady({ stage, intervalMs, links }) {
    steady = new SteadyProbes(prober, stage, intervalMs, links);
  },
  endSteady: async () => (await steady?.end()) ?? [],
};

parentPort?.on('message', ({ id, name, question }: Task) => {
  (tasks[name] as (question: unknown) => Promise<unknown>)(question).then(
    (answer) => send({ type: 'done', id, answer }),
    (error: Error) => send({ type: 'failed', id, reason: error.message }),
  );
});
send({ type: 'ready', clients });

async function addressesOf({ clients, address }: ClientSetup): Promise<readonly string[]> {
  if (clients === null) return [await ownAddressTowards(address)];
  bringUpClients(clients, address);
  return clients;
}

/** The address that this machine sends from. @throws ErrnoException: ENETUNREACH if it has no route */
async function ownAddressTowards(address: string): Promise<string> {
  const socket = createSocket(familyOf(address) === 'IPv4' ? 'udp4' : 'udp6');
  try {
    socket.connect(DISCARD_PORT, address);
    await once(socket, 'connect');
    return socket.address().address;
  } finally {
    socket.close();
  }
}

async function askEach(links: Link[], moment: Moment): Promise<Observation[]> {
  const observations: Observation[] = [];
  const lane = async () => {
    for (let link = links.pop(); link !== undefined; link = links.pop())
      observations.push(await prober.observe(link, moment));
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return observations;
}

function send(message: FromClients): void {
  parentPort?.postMessage(message);
}
