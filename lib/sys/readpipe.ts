import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';

/**
 * Reads a pipe until all its writers have closed it. The pipe is opened again, so that its mode does not
 * change for other processes that have it. The event loop reads it, because a thread that waits for a pipe
 * cannot be stopped.
 *
 * @param maxBytes limit; a pipe with more bytes is refused
 * @param signal stops the reading
 * @throws Error that tells the reason
 */
export async function readPipe(path: string, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of openPipe(path, signal) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxBytes) throw new Error(`it has more than the ${maxBytes >> 20} MiB that are allowed`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function openPipe(path: string, signal: AbortSignal): Socket {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return new Socket({ fd, readable: true, writable: false, signal });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
