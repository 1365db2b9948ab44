/**
 * A program: clients of one kind. Its argument is a ClientPlan as JSON. Each second it prints a ClientReport
 * as a line of JSON. It ends when its input is closed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { item } from '../../../test/lab/items.js';
import { dds } from './dds.js';
import type { ClientPlan, ClientReport, Failure, Kind, Talk } from './talk.js';
import { Refusal } from './talk.js';
import { tcpLong } from './tcp-long.js';
import { tcpShort } from './tcp-short.js';
import { udpLookup } from './udp-lookup.js';
import { udpStream } from './udp-stream.js';

const REPORT_MS = 1000;
/** A client that had an error does not make the next one at once. */
const REST_MS = 100;

const TALKS: Readonly<Record<Kind, Talk>> = {
  'tcp-short': tcpShort,
  'tcp-long': tcpLong,
  'udp-lookup': udpLookup,
  'udp-stream': udpStream,
  dds,
};

const plan = JSON.parse(item(process.argv, 2)) as ClientPlan;
const ends = new AbortController();
let done = 0;
let askedAgain = 0;
let failures: Failure[] = [];

async function talkOn(lane: number): Promise<void> {
  const target = item(plan.targets, lane % plan.targets.length);
  while (!ends.signal.aborted) {
    try {
      askedAgain += await TALKS[plan.kind](target, ends.signal);
      done++;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { message: reason, wasOpen } = error;
      failures.push({ at: Date.now(), target: target.address, reason, wasOpen });
      await sleep(REST_MS);
    }
  }
}

function report(): void {
  const line: ClientReport = { done, askedAgain, failures };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  done = 0;
  askedAgain = 0;
  failures = [];
}

process.stdin.on('end', () => ends.abort()).resume();
const timer = setInterval(report, REPORT_MS);
await Promise.all(Array.from({ length: plan.lanes }, (_, lane) => talkOn(lane)));
clearInterval(timer);
report();
