import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { kindOf } from '../sys/readfile.js';

const SLICE = 64;

/** Whether an entry of a directory is read as a manifest; hidden ones are not. */
export function isManifestName(name: string): boolean {
  return /^[^.].*\.(yaml|yml|json)$/.test(name);
}

/**
 * The manifest files under a path: itself, or those directly in a directory, sorted by name. Hidden entries
 * are left out, so that of a ConfigMap mount the links are read once and its `..data` directories are not.
 * Rejects if the path cannot be read.
 */
export async function listManifests(path: string): Promise<string[]> {
  const stats = await stat(path);
  if (stats.isFile()) return [path];
  if (!stats.isDirectory()) throw new Error(`it is a ${kindOf(stats)} and neither a file nor a directory`);
  const names = (await readdir(path)).filter(isManifestName).sort();
  const paths = names.map((name) => join(path, name));
  const regular = await inSlices(paths, isRegularFile);
  return paths.filter((_, index) => regular[index]);
}

/**
 * Whether a path names a pipe that this process was started with, as a shell's `<(kubectl get ...)` does.
 * Other FIFOs are refused as what they are: nobody may be about to write there.
 */
export async function isInheritedPipe(path: string): Promise<boolean> {
  return /^\/dev\/(stdin|fd\/\d+)$/.test(path) && (await stat(path)).isFIFO();
}

/** A text that differs whenever a file under the paths was written, replaced, added or removed. */
export async function stampOf(paths: readonly string[]): Promise<string> {
  const stamps = await Promise.all(paths.map(stampOfPath));
  return stamps.flat().join('\n');
}

/** The directory in which a change of `path` shows: a link or a file is replaced in its parent. */
export async function directoryOf(path: string): Promise<string> {
  const names = await readdir(path).catch(() => null);
  return names === null ? dirname(path) : path;
}

/** `ENOENT: no such file or directory` and the like, without the call and the path. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/, .*/s, '');
}

/**
 * Node does a few things with files at a time:
 * all of a large directory at once would keep everybody else's waiting.
 */
async function inSlices<T>(paths: readonly string[], look: (path: string) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let at = 0; at < paths.length; at += SLICE) {
    results.push(...(await Promise.all(paths.slice(at, at + SLICE).map(look))));
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
    return await inSlices(await listManifests(path), stampOfFile);
  } catch (error) {
    return [`${path} ${reasonOf(error)}`];
  }
}

async function stampOfFile(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [path, dev, ino, size, mtimeNs, ctimeNs].join(' ');
}
