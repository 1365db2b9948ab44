import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';

/**
 * Reads a pipe until everybody who can write to it has closed it. It is opened anew, so that who else has it
 * finds it as it was, and read by the event loop: a thread that waits for a pipe could not be told to stop.
 *
 * @param maxBytes more is refused
 * @param signal gives up
 * @throws Error that says why
 */
export async function readPipe(path: string, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of openPipe(path, signal) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxBytes) throw new Error(`it has more than ${maxBytes >> 20} MiB, which are allowed`);
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
