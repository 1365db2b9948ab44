import { closeSync, constants, fstatSync, openSync, promises, readFileSync, type Stats } from 'node:fs';
import { textOf } from './filetext.js';

export interface ReadLimits {
  /** Bytes. A longer file is refused. */
  readonly maxBytes: number;
  /**
   * Refuses a symbolic link. For files that only this program writes: a link of another user must not lead to
   * another file.
   */
  readonly noLinks?: boolean;
}

/** The limit for configuration files and for files with credentials. */
export const SMALL_FILE: ReadLimits = { maxBytes: 4 << 20 };

/**
 * Reads a file and refuses everything that is not a regular file: to open a FIFO could wait without end, and
 * a device may have no end.
 *
 * @throws Error that tells the reason
 */
export async function readRegularFile(path: string, limits: ReadLimits): Promise<Buffer> {
  const file = await promises.open(path, openFlags(limits)).catch(explainLink);
  try {
    checkKind(await file.stat(), limits);
    // Reads at most the size from stat, even if the file grows.
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/**
 * The text of a small file. Synchronous, for files that are needed before everything else at the start.
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

/** The kind of a file, as a word for messages. */
export function kindOf(stats: Stats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isFIFO()) return 'FIFO';
  if (stats.isSocket()) return 'socket';
  return stats.isSymbolicLink() ? 'symbolic link' : 'device';
}

/** With O_NONBLOCK, because without it the open of a FIFO waits for a writer (fifo(7)). */
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
    throw new Error(`it has ${mebibytes(stats.size)} MiB; at most ${mebibytes(maxBytes)} MiB are allowed`);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
