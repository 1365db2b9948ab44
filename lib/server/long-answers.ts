import type { ServerResponse } from 'node:http';
import { setImmediate as otherWork } from 'node:timers/promises';
import { write } from './sending.js';

/** So many pieces are made without a pause: some milliseconds on a slow board. */
const BATCH = 500;
/** So many long answers are under way at once; more have to wait. */
const MOST = 4;

/**
 * Sends long texts that are made while they are sent: other work goes on in between, and no more is made than
 * the client takes. A client must have it all in some time, so that slow ones do not keep others waiting.
 */
export class LongAnswers {
  readonly #patienceMs: number;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  /** @param patienceMs how long an answer may take once it is begun */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** Resolves once all was sent or the client has gone. @param signal aborts when the client has gone */
  async send(response: ServerResponse, pieces: Iterable<string>, signal: AbortSignal): Promise<void> {
    if (this.#underWay === MOST) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#underWay++;
    const timer = setTimeout(() => response.destroy(), this.#patienceMs);
    try {
      await sendAll(response, pieces, signal);
    } finally {
      clearTimeout(timer);
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay--;
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
    // A client that takes everything at once leaves no pause by itself.
    await otherWork();
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
