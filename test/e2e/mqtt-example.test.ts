import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import type { KubePortal } from '../lab/kubeportal.js';
import type { Program } from '../lab/program.js';
import { configIn, serveAll } from './ros2-examples.js';

t.setTimeout(0);

const VIP = '10.96.7.21';
const TOPIC = ['-h', VIP, '-t', 'lab'];

/** A client that stays, and connects again where it loses its broker. */
async function subscribe(host: Host): Promise<Program> {
  // Into a pipe it would write what it does only once it ends.
  const program = host.spawn('stdbuf', ['-oL', 'mosquitto_sub', ...TOPIC, '-d']);
  await program.waitForOutput(/^Subscribed/m);
  return program;
}

/** Resolves once a subscriber has heard what a client of its own connection has published. */
async function publish(host: Host, text: string, subscriber: Program): Promise<void> {
  await host.must('mosquitto_pub', [...TOPIC, '-m', text]);
  await subscriber.waitForOutput(new RegExp(`^${text}$`, 'm'));
}

/** The brokers that have clients now. */
async function brokersOf(kubePortal: KubePortal): Promise<string[]> {
  const { sessions } = await kubePortal.sessions('service=default/mqtt');
  return [...new Set(sessions.map(({ endpoint }) => endpoint ?? ''))];
}

t.test('one MQTT broker at a time, with kill and return', async (t) => {
  const { lab, pods, kubePortal } = await serveAll(t);
  const robot = lab.pod('robot');
  const config = join(t.testdir(), 'mosquitto.conf');
  writeFileSync(config, configIn('mqtt-active-standby', 'replica', 'mosquitto.conf'));
  const startBroker = async (pod: Host) => {
    const broker = pod.spawn('mosquitto', ['-c', config]);
    await broker.waitForOutput(/mosquitto version \S+ running/);
    return broker;
  };
  const [active] = [await startBroker(item(pods, 0)), await startBroker(item(pods, 1))];
  const address = (index: number) => `${item(pods, index).address4}:1883`;

  const subscriber = await subscribe(robot);
  for (const text of ['one', 'two', 'three', 'four']) await publish(robot, text, subscriber);
  t.same(await brokersOf(kubePortal), [address(0)], 'all clients meet the first broker');

  await active.stop('SIGKILL');
  const subscriptions = () => subscriber.stdout.match(/^Subscribed/gm)?.length ?? 0;
  await subscriber.waitFor(() => (subscriptions() === 2 ? true : null), 'another subscription');
  for (const text of ['five', 'six']) await publish(robot, text, subscriber);
  t.same(await brokersOf(kubePortal), [address(1)], 'the client has connected again, to the second');

  await startBroker(item(pods, 0));
  await kubePortal.until(async () => {
    const newcomer = await subscribe(robot);
    const brokers = await brokersOf(kubePortal);
    await newcomer.stop();
    return brokers.includes(address(0));
  }, 'new clients meet the first broker again');
  t.ok((await brokersOf(kubePortal)).includes(address(1)), 'and the old client stays where it is');
});
