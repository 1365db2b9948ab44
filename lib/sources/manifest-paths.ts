import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { kindOf } from '../sys/readfile.js';

/** Files that are looked at together. */
const BATCH = 64;

/** Whether a file in a directory is read as a manifest. Hidden files are not. */
export function isManifestName(name: string): boolean {
  return /^[^.].*\.(yaml|yml|json)$/.test(name);
}

/**
 * The manifest files of a path: the file itself, or the files directly in the directory, sorted by name.
 * Hidden files are left out, so that in a ConfigMap mount each link is read once, and its `..data` directory
 * is not read too. Rejects if the path cannot be read.
 */
export async function listManifests(path: string): Promise<string[]> {
  const stats = await stat(path);
  if (stats.isFile()) return [path];
  if (!stats.isDirectory()) throw new Error(`it is a ${kindOf(stats)} and neither a file nor a directory`);
  const names = (await readdir(path)).filter(isManifestName).sort();
  const paths = names.map((name) => join(path, name));
  const isRegular = await inBatches(paths, isRegularFile);
  return paths.filter((_, index) => isRegular[index]);
}

/**
 * Whether a path is a pipe that this process inherited, for example from a shell's `<(kubectl get ...)`.
 * Other FIFOs are refused, because reading waits for ever if no program writes to them.
 */
export async function isInheritedPipe(path: string): Promise<boolean> {
  return /^\/dev\/(stdin|fd\/\d+)$/.test(path) && (await stat(path)).isFIFO();
}

/** A text that changes when a manifest file of the paths is written, replaced, added or removed. */
export async function stampOf(paths: readonly string[]): Promise<string> {
  const stamps = await Promise.all(paths.map(stampOfPath));
  return stamps.flat().join('\n');
}

/** The directory to watch for changes of `path`: the path itself, or the parent of a file or link. */
export async function directoryOf(path: string): Promise<string> {
  const names = await readdir(path).catch(() => null);
  return names === null ? dirname(path) : path;
}

/** The error's message without call and path, for example `ENOENT: no such file or directory`. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/, .*/s, '');
}

/**
 * Node runs only a few file operations at the same time (libuv's thread pool). If all files of a large
 * directory were queued at once, other file operations would wait for all of them.
 */
async function inBatches<T>(paths: readonly string[], look: (path: string) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let at = 0; at < paths.length; at += BATCH) {
    results.push(...(await Promise.all(paths.slice(at, at + BATCH).map(look))));
  }
  return results;
}

async function isRegularFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function stampOfPath(path: string): Promise<string[]> {
  try {
    return await inBatches(await listManifests(path), stampOfFile);
  } catch (error) {
    return [`${path} ${reasonOf(error)}`];
  }
}

async function stampOfFile(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [path, dev, ino, size, mtimeNs, ctimeNs].join(' ');
}
