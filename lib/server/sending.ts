import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/**
 * Writes a piece of an answer. Resolves when there is room for the next piece, or the client has gone.
 * @param signal aborts when the client has gone
 */
export async function write(response: ServerResponse, piece: string, signal: AbortSignal): Promise<void> {
  if (response.destroyed || response.write(piece)) return;
  await once(response, 'drain', { signal }).catch(() => undefined);
}

/**
 * Sends the pieces of an answer. The next piece is requested only when there is room for it.
 * @param signal aborts when the client has gone. No further piece is then requested.
 * @param timeoutMs if the client does not read a piece within this time, the connection is closed
 */
export async function sendStream(
  response: ServerResponse,
  pieces: AsyncIterable<string>,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  for await (const piece of pieces) {
    const timer = setTimeout(() => response.destroy(), timeoutMs);
    await write(response, piece, signal);
    clearTimeout(timer);
    if (response.destroyed) return;
  }
  response.end();
}
