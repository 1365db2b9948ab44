import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { localPlace } from '../apiserver/local-place.js';
import { runOrThrow } from '../lab/program.js';
import { Docker } from './docker.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BASE_TIMEOUT_MS = 600_000;
/** The stage in which the Dockerfile compiles. */
const BUILD_STAGE = 'kube-portal-build';

/** What `docker image inspect` says. */
interface Inspection {
  readonly Id: string;
  /** Bytes. */
  readonly Size: number;
  readonly Config: { readonly User: string };
}

export interface Images {
  readonly base: Inspection;
  readonly build: Inspection;
  readonly final: Inspection;
}

/** Builds the Dockerfile's image as it is now, on a base made here: nothing is pulled. */
export async function buildImages(): Promise<Images> {
  const docker = await Docker.start(localPlace);
  try {
    const base = await importBase(docker);
    await build(docker, base, BUILD_STAGE, '--target=build');
    await build(docker, base, 'kube-portal');
    const [baseImage, buildImage, final] = JSON.parse(
      await docker.must(['image', 'inspect', base, BUILD_STAGE, 'kube-portal']),
    ) as [Inspection, Inspection, Inspection];
    await docker.must(['system', 'prune', '--force', '--filter=until=24h']);
    return { base: baseImage, build: buildImage, final };
  } finally {
    await docker.stop();
  }
}

/** @returns the tag of the base image, with which Docker knows it */
async function importBase(docker: Docker): Promise<string> {
  const tag = `kube-portal-base:node-${process.version}`;
  if ((await docker.run(['image', 'inspect', tag])).code === 0) return tag;
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-base-'));
  try {
    const archive = join(directory, 'base.tar');
    await runOrThrow([join(ROOT, 'scripts/debian-base.sh'), archive], { timeoutMs: BASE_TIMEOUT_MS });
    await docker.must(['import', archive, tag]);
    return tag;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function build(docker: Docker, base: string, tag: string, ...more: readonly string[]): Promise<void> {
  const args = ['--network=host', `--build-arg=BASE_IMAGE=${base}`, `--tag=${tag}`, ...more];
  await docker.must(['build', ...args, ROOT]);
}
