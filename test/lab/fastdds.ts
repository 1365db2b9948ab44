/** Participants of Fast DDS, from a small program that is compiled for the test. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from './host.js';
import type { Program } from './program.js';

const SOURCE = fileURLToPath(new URL('../../../test/lab/fastdds-talker.cpp', import.meta.url));

/** What a participant is told. */
export interface FastDdsSettings {
  /** A profile in XML. */
  readonly profile?: string;
  /** See ROS_DISCOVERY_SERVER of Fast DDS. */
  readonly servers?: string;
}

/** Starts participants. Each publishes its name on the same topic, and prints whom it hears. */
export class FastDds {
  readonly #directory: string;
  #profiles = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Compiles the program. It is removed when the test ends. */
  static forTest(t: { teardown(run: () => void): unknown }): FastDds {
    const directory = mkdtempSync(join(tmpdir(), 'kube-portal-fastdds-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const talker = join(directory, 'talker');
    execFileSync('g++', ['-o', talker, SOURCE, '-lfastrtps', '-lfastcdr'], { stdio: 'pipe' });
    return new FastDds(directory);
  }

  /** @param name by which the others hear it */
  start(host: Host, name: string, { profile, servers }: FastDdsSettings): Program {
    const path = join(this.#directory, `${++this.#profiles}.xml`);
    if (profile !== undefined) writeFileSync(path, profile);
    const env = {
      ...(profile !== undefined && { FASTRTPS_DEFAULT_PROFILES_FILE: path }),
      ...(servers !== undefined && { ROS_DISCOVERY_SERVER: servers }),
    };
    return host.spawn(join(this.#directory, 'talker'), [name], { env });
  }
}

/** @param others ROS_DISCOVERY_SERVER of a server that knows others */
export function startDiscoveryServer(pod: Host, id: number, others?: string): Program {
  const args = ['-i', `${id}`, '-l', pod.address4, '-p', '11811'];
  const env = others === undefined ? {} : { ROS_DISCOVERY_SERVER: others };
  return pod.spawn('fast-discovery-server', args, { env });
}

/** Whom a participant has heard so far, once for each sample. */
export function heardBy(talker: Program): string[] {
  return Array.from(talker.stdout.matchAll(/^heard (\S+)$/gm), ([, name = '']) => name);
}
