import { closeSync, constants, fstatSync, openSync, promises, readFileSync, type Stats } from 'node:fs';
import { textOf } from './filetext.js';

export interface ReadLimits {
  /** A longer file is refused. */
  readonly maxBytes: number;
  /**
   * Refuses a symbolic link: what nobody but this program should have put there is not looked for elsewhere.
   */
  readonly noLinks?: boolean;
}

/**
 * More than any file that people write for a program to read at its start,
 * or in which others put credentials for it.
 */
export const SMALL_FILE: ReadLimits = { maxBytes: 4 << 20 };

/**
 * Reads a file that may not be what its name promises: a FIFO would keep the reader waiting for ever,
 * and a device may have no end.
 *
 * @throws Error that says why
 */
export async function readRegularFile(path: string, limits: ReadLimits): Promise<Buffer> {
  const file = await promises.open(path, openFlags(limits)).catch(explainLink);
  try {
    checkKind(await file.stat(), limits);
    // No more than the size that stat told, even if it grows.
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/**
 * The text of a small file, for what is needed before anything else can be done.
 * @throws as {@link readRegularFile}
 */
export function readSmallFileSync(path: string): string {
  const file = openSync(path, openFlags(SMALL_FILE));
  try {
    checkKind(fstatSync(file), SMALL_FILE);
    return textOf(readFileSync(file));
  } finally {
    closeSync(file);
  }
}

/** What stands at a path, in people's words. */
export function kindOf(stats: Stats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isFIFO()) return 'FIFO';
  if (stats.isSocket()) return 'socket';
  return stats.isSymbolicLink() ? 'symbolic link' : 'device';
}

/** Without O_NONBLOCK, to open a FIFO waits for a writer (fifo(7)). */
function openFlags({ noLinks = false }: ReadLimits): number {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
  return O_RDONLY | O_NONBLOCK | (noLinks ? O_NOFOLLOW : 0);
}

function explainLink(error: NodeJS.ErrnoException): never {
  throw error.code === 'ELOOP' ? new Error('it is a symbolic link that cannot be followed here') : error;
}

function checkKind(stats: Stats, { maxBytes }: ReadLimits): void {
  if (!stats.isFile()) throw new Error(`it is a ${kindOf(stats)} and not a file`);
  if (stats.size > maxBytes)
    throw new Error(`it has ${mebibytes(stats.size)} MiB; ${mebibytes(maxBytes)} are allowed`);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
