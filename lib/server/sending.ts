import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/**
 * Writes a piece of an answer; resolves once the client has taken so much that the next piece may be made, or
 * has gone.
 * @param signal aborts when the client has gone
 */
export async function write(response: ServerResponse, piece: string, signal: AbortSignal): Promise<void> {
  if (response.destroyed || response.write(piece)) return;
  await once(response, 'drain', { signal }).catch(() => undefined);
}

/**
 * Sends pieces as they come, and asks for none that the client would not take.
 * @param signal aborts when the client has gone; what makes the pieces ends then with the piece that it is at
 * @param patienceMs a client that takes nothing for so long is cut off
 */
export async function sendStream(
  response: ServerResponse,
  pieces: AsyncIterable<string>,
  signal: AbortSignal,
  patienceMs: number,
): Promise<void> {
  for await (const piece of pieces) {
    const timer = setTimeout(() => response.destroy(), patienceMs);
    await write(response, piece, signal);
    clearTimeout(timer);
    if (response.destroyed) return;
  }
  response.end();
}
