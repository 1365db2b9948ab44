/** A Service with three pods in a lab, and the tester on its node. */
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { AffinityResult } from '../../lib/affinity/result.js';
import { Lab, type LabOptions, type Pod } from '../lab/lab.js';
import type { PortOptions } from '../lab/manifest.js';
import type { Program, Result } from '../lab/program.js';
import { violations } from './schema.js';

const BIN = fileURLToPath(new URL('../../../bin/kube-portal', import.meta.url));

export const VIP = '10.96.0.10';
export const NAMES = ['web-0', 'web-1', 'web-2'] as const;
export const PORTS = [
  { name: 'web', protocol: 'TCP', port: 80 },
  { name: 'discovery', protocol: 'UDP', port: 7410 },
  { name: 'data', protocol: 'UDP', port: 7411 },
] as const satisfies PortOptions[];
/** The same, as the tester takes it. */
export const PORT_LIST = '80/tcp,7410/udp,7411/udp';
/** Sixty addresses that nobody has. */
export const CLIENTS = '198.18.0.0/27,198.18.1.0/27';

export interface Stage {
  readonly lab: Lab;
  readonly pods: readonly Pod[];
  /** The program that answers in each pod. */
  readonly responders: readonly Program[];
}

/** Pods that answer with their names at the ports of the Service. */
export async function stageFor(t: Test, options: LabOptions = {}): Promise<Stage> {
  const lab = await Lab.forTest(t, { ...options, pods: NAMES });
  const pods = NAMES.map((name) => lab.pod(name));
  const responders = await Promise.all(pods.map(startResponder));
  return { lab, pods, responders };
}

/** `kube-portal affinity respond` in a pod. Resolves once it answers. */
export async function startResponder(pod: Pod): Promise<Program> {
  const responder = startTester(pod, ['respond', '--ports', PORT_LIST, '--name', pod.name]);
  await responder.waitForOutput(/ answers at /);
  return responder;
}

/** `kube-portal affinity` on a host of the lab. */
export function startTester(host: Pick<Pod, 'spawn'>, args: readonly string[]): Program {
  return host.spawn(process.execPath, [BIN, 'affinity', ...args]);
}

/** Runs `kube-portal affinity` on a host of the lab to its end. */
export function runTester(host: Pick<Pod, 'exec'>, args: readonly string[]): Promise<Result> {
  return host.exec(process.execPath, [BIN, 'affinity', ...args]);
}

/** The result of a run with `-o json`, and its exit code. @throws Error if it is not as the schema says */
export async function resultOfRun(
  host: Pick<Pod, 'exec'>,
  args: readonly string[],
): Promise<{ code: number | null; result: AffinityResult }> {
  const { code, stdout, stderr } = await runTester(host, [...args, '-o', 'json']);
  const result = parseResult(stdout);
  if (result === null) throw new Error(`exit code ${code}, no JSON: ${stdout}${stderr}`);
  const faults = violations(result);
  if (faults.length > 0) throw new Error(`docs/affinity-result.schema.json: ${faults.join(', ')}`);
  return { code, result };
}

function parseResult(text: string): AffinityResult | null {
  try {
    return JSON.parse(text) as AffinityResult;
  } catch {
    return null;
  }
}
