import type { ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { write } from './sending.js';

/** Pieces that are made without a pause. They take some milliseconds on a slow board. */
const BATCH = 500;
/** Long answers that are sent at the same time. Beyond it, an answer waits for the end of another. */
const MAX_CONCURRENT = 4;

/**
 * Sends long texts. Pieces of the text are made when the client can take them, and the event loop runs other
 * work between two batches. The client must read the whole text within `timeoutMs`, so that a slow client
 * does not block others for long.
 */
export class LongAnswers {
  readonly #timeoutMs: number;
  readonly #waiting: (() => void)[] = [];
  #active = 0;

  /** @param timeoutMs time for one answer, from its first piece on. Beyond it, the connection is closed. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves when the text is sent or the client has gone. @param signal aborts when the client has gone */
  async send(response: ServerResponse, pieces: Iterable<string>, signal: AbortSignal): Promise<void> {
    if (this.#active === MAX_CONCURRENT) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#active++;
    const timer = setTimeout(() => response.destroy(), this.#timeoutMs);
    try {
      await sendAll(response, pieces, signal);
    } finally {
      clearTimeout(timer);
      const next = this.#waiting.shift();
      if (next === undefined) this.#active--;
      else next();
    }
  }
}

async function sendAll(
  response: ServerResponse,
  pieces: Iterable<string>,
  signal: AbortSignal,
): Promise<void> {
  for (const batch of batchesOf(pieces)) {
    if (response.destroyed) return;
    await write(response, batch, signal);
    // While the client reads fast, write() does not wait. Other work must run all the same.
    await nextTurn();
  }
  response.end();
}

function* batchesOf(pieces: Iterable<string>): Iterable<string> {
  let batch = '';
  let count = 0;
  for (const piece of pieces) {
    batch += piece;
    if (++count % BATCH !== 0) continue;
    yield batch;
    batch = '';
  }
  yield batch;
}
