import { mkdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a file in one step: after a crash it is the old one or the new one. Makes its directory if need
 * be. Whatever stands at either name is replaced, never followed or written into.
 */
export async function replaceFile(file: string, text: string): Promise<void> {
  const successor = successorOf(file);
  await makeDirectory(dirname(file));
  // What a crash has left, or somebody has put there; the exclusive open (O_EXCL)
  // tells if it is still in the way.
  await unlink(successor).catch(() => undefined);
  try {
    await writeFile(successor, text, { flag: 'wx', mode: 0o644 });
    await rename(successor, file);
  } catch (error) {
    // On a full disk, half a file would keep others from writing theirs.
    await unlink(successor).catch(() => undefined);
    throw error;
  }
}

/**
 * Makes a directory, and those above it, unless it is there.
 * Node's own way says ENOENT of a disk that is read-only.
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o755 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o755 });
  }
}

/** Removes a file, if it is there, with what a crash has left of its successor. */
export async function removeFile(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(successorOf(file), { force: true });
}

function successorOf(file: string): string {
  return `${file}.new`;
}
