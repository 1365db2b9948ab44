import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { analyse, type RunRecord } from '../affinity/analysis.js';
import { gather } from '../affinity/gathering.js';
import type { GatherFlags } from './affinity.js';
import { measured, printResult } from './affinity-output.js';
import { ProgressLine } from './progress-line.js';
import { UsageError } from './usage-error.js';

/** A report of one client is far shorter. */
const LONGEST_REPORT_BYTES = 64 << 20;

/** Waits for the reports of all clients, and judges them together. @throws as `testAffinity` */
export async function gatherReports(flags: GatherFlags): Promise<void> {
  const records = await measured(() => receiveReports(flags));
  printResult(analyse(gather(records)), flags.output);
}

async function receiveReports({ listen, pods, wait }: GatherFlags): Promise<readonly RunRecord[]> {
  if (listen === 'off') throw new UsageError('--listen: give an address, such as 0.0.0.0:8080');
  const gathering = new Gathering(pods);
  const server = createServer((request, response) => gathering.receive(request, response));
  server.listen(listen);
  await once(server, 'listening');
  const late = new AbortController();
  try {
    await Promise.race([gathering.complete, sleep(wait, null, { signal: late.signal })]);
  } finally {
    late.abort();
    gathering.end();
    close(server);
  }
  const missing = pods - gathering.records.length;
  if (missing > 0)
    process.stderr.write(`${missing} of ${pods} clients have not reported within ${wait / 1000} s\n`);
  return gathering.records;
}

function close(server: Server): void {
  server.close();
  server.closeIdleConnections();
}

class Gathering {
  readonly records: RunRecord[] = [];
  /** Resolves once all have reported. */
  readonly complete: Promise<void>;
  readonly #expected: number;
  readonly #progress = new ProgressLine();
  #onComplete = () => {};

  constructor(expected: number) {
    this.#expected = expected;
    this.complete = new Promise((resolve) => {
      this.#onComplete = resolve;
    });
    this.#show();
  }

  receive(request: IncomingMessage, response: ServerResponse): void {
    this.#read(request).then(
      () => response.writeHead(204, { connection: 'close' }).end(),
      (error: Error) => response.writeHead(400, { connection: 'close' }).end(`${error.message}\n`),
    );
  }

  end(): void {
    this.#progress.end();
  }

  async #read(request: IncomingMessage): Promise<void> {
    if (request.method !== 'POST') throw new Error('reports are sent with POST');
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > LONGEST_REPORT_BYTES) throw new Error('the report is too long');
    }
    this.records.push(readRecord(Buffer.concat(chunks).toString()));
    this.#show();
    if (this.records.length === this.#expected) this.#onComplete();
  }

  #show(): void {
    this.#progress.show(`${this.records.length} of ${this.#expected} clients have reported`);
  }
}

/** @throws Error if the text is no record of a run */
function readRecord(text: string): RunRecord {
  const record = JSON.parse(text) as Partial<RunRecord> | null;
  const isRecord =
    Array.isArray(record?.observations) &&
    Array.isArray(record.stages) &&
    Array.isArray(record.asked?.clients) &&
    Array.isArray(record.asked.ports) &&
    Number.isFinite(Date.parse(record.startedAt ?? ''));
  if (!isRecord) throw new Error('this is not what kube-portal affinity --report-to sends');
  return record as RunRecord;
}
