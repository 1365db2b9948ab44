/**
 * Writes the objects of the crowd into an API server. Arguments: path of a kubeconfig, then `create`, or
 * `storm` with slices per second and seconds. Prints a CrowdReport as JSON.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { loadClusterUser } from '../../lib/sources/kubernetes/cluster-user.js';
import { CredentialSource } from '../../lib/sources/kubernetes/credentials.js';
import { item } from '../lab/items.js';
import type { KubernetesObject } from '../lab/manifest.js';
import { crowdService, crowdSlice, SERVICES } from './crowd.js';

/** Requests under way. There are far more slices, so no slice is written twice at the same time. */
const UNDER_WAY = 32;
const PERIOD_MS = 10;
const SERVICES_PATH = '/api/v1/namespaces/default/services';
const SLICES_PATH = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

export interface CrowdReport {
  readonly written: number;
  readonly seconds: number;
}

const kubeconfig = item(process.argv, 2);
const [what, perSecond, seconds] = process.argv.slice(3);
const clusterUser = loadClusterUser({ kubeconfig });
const { tls } = await new CredentialSource(clusterUser).current();
const pool = new Pool(clusterUser.cluster.server, { connections: UNDER_WAY, connect: tls });

async function write(method: 'POST' | 'PUT', path: string, object: KubernetesObject): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const { statusCode, body } = await pool.request({ method, path, headers, body: JSON.stringify(object) });
  const text = await body.text();
  if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${text}`);
}

/** Every object once. @returns how many */
async function create(): Promise<number> {
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < SERVICES; index = next++) {
      await write('POST', SERVICES_PATH, crowdService(index));
      await write('POST', SLICES_PATH, crowdSlice(index, 0));
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, lane));
  return 2 * SERVICES;
}

/**
 * Writes the next version of each slice in turn, at the given rate or as fast as the server can.
 * @returns number of written slices
 */
async function storm(perSecond: number, seconds: number): Promise<number> {
  const started = performance.now();
  const underWay = new Set<Promise<void>>();
  let sent = 0;
  for (;;) {
    const elapsed = Math.min((performance.now() - started) / 1000, seconds);
    while (sent < elapsed * perSecond && underWay.size < UNDER_WAY) {
      const slice = crowdSlice(sent % SERVICES, 1 + Math.floor(sent / SERVICES));
      const written = write('PUT', `${SLICES_PATH}/${slice.metadata.name}`, slice).then(() => {
        underWay.delete(written);
      });
      underWay.add(written);
      sent++;
    }
    if (elapsed === seconds) break;
    await (underWay.size === UNDER_WAY ? Promise.race(underWay) : sleep(PERIOD_MS));
  }
  await Promise.all(underWay);
  return sent;
}

const started = performance.now();
const written = what === 'create' ? await create() : await storm(Number(perSecond), Number(seconds));
const report: CrowdReport = { written, seconds: (performance.now() - started) / 1000 };
process.stdout.write(JSON.stringify(report));
await pool.close();
