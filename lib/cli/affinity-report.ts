import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRecord } from '../affinity/analysis.js';

/** How long one attempt may take, and how long it is tried in all, ms. */
const ATTEMPT_MS = 10_000;
const TRIES = 30;
const PAUSE_MS = 2000;

/** Sends a record to the program that gathers. It may start later than this one. @throws Error */
export async function report(record: RunRecord, url: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await post(record, url);
    } catch (error) {
      if (attempt === TRIES) throw new Error(`${url}: ${(error as Error).message}`);
      await sleep(PAUSE_MS);
    }
  }
}

async function post(record: RunRecord, url: string): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(record),
    signal: AbortSignal.timeout(ATTEMPT_MS),
  });
  if (!response.ok) throw new Error(`HTTP status ${response.status}: ${await response.text()}`);
}
