/** Real servers in pods. They run until they are stopped, or with the lab. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from './host.js';
import type { Program } from './program.js';

/**
 * nginx on port 80. It serves the files of a directory with the pod's name.
 * @param settings more lines for the `server` block
 */
export async function startNginx(pod: Host, directory: string, settings = ''): Promise<Program> {
  const root = join(directory, pod.name);
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'name'), `${pod.name}\n`);
  writeFileSync(
    join(root, 'nginx.conf'),
    `daemon off; master_process off; user root; pid ${root}/pid; error_log stderr;
     events {}
     http { access_log off; server { listen 80; listen [::]:80; root ${root}; ${settings} } }`,
  );
  // One process: the workers of a master that was killed would live on.
  const program = pod.spawn('nginx', ['-c', join(root, 'nginx.conf')]);
  await isServed(pod, 'curl', ['-sf', 'http://127.0.0.1/name']);
  return program;
}

/** dnsmasq on port 53 tells the pod's name as the TXT record of who.example. @param records more flags */
export async function startDnsmasq(pod: Host, ...records: readonly string[]): Promise<Program> {
  const alone = ['--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--user=root', '--pid-file='];
  const who = `--txt-record=who.example,${pod.name}`;
  const program = pod.spawn('dnsmasq', ['--keep-in-foreground', ...alone, who, ...records]);
  await isServed(pod, 'dig', ['+short', '+tries=1', '+time=1', '@127.0.0.1', 'who.example', 'TXT']);
  return program;
}

/** Waits until a client inside the pod is answered. */
async function isServed(pod: Host, client: string, args: readonly string[]): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await pod.exec(client, args)).code === 0) return;
    await sleep(50);
  }
  throw new Error(`${client} gets no answer in ${pod.name}`);
}
