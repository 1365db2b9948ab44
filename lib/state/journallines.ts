import { crc32 } from 'node:zlib';

/** What a journal says, as far as it is sound. */
export interface JournalContent {
  /** The entries in the order in which they were written. Each is parsed when it is taken. */
  readonly entries: Iterable<unknown>;
  readonly count: number;
  /** Length of the sound beginning. 0: there is no journal yet. */
  readonly soundBytes: number;
  /** Why the rest is ignored. Null if there is no rest, or only a line that was not written to its end. */
  readonly problem: string | null;
}

/** A line of a journal: the check sum of a JSON text, then the text. */
export function journalLine(entry: unknown): string {
  const json = JSON.stringify(entry);
  return `${checkSum(json)} ${json}\n`;
}

/**
 * Reads the lines of a journal up to the first one that is damaged. A process that is killed can leave half a
 * line at the end; that is no damage.
 * @param header the first line of a journal of this kind and version
 */
export function readJournal(bytes: Buffer, header: string): JournalContent {
  const head = Buffer.from(header);
  if (bytes.length < head.length && head.subarray(0, bytes.length).equals(bytes)) return NO_JOURNAL;
  if (!bytes.subarray(0, head.length).equals(head))
    return { ...NO_JOURNAL, problem: 'it is no such file, or one of another version' };
  const entries = { [Symbol.iterator]: () => entriesOf(bytes, head.length, soundBytes) };
  let soundBytes = head.length;
  let count = 0;
  for (;;) {
    const end = bytes.indexOf(NEWLINE, soundBytes);
    if (end === -1) return { entries, count, soundBytes, problem: null };
    if (!isSound(bytes.subarray(soundBytes, end)))
      return { entries, count, soundBytes, problem: `it is damaged from line ${count + 2} on` };
    soundBytes = end + 1;
    count++;
  }
}

/** What is read if there is no journal. */
export const NO_JOURNAL: JournalContent = { entries: [], count: 0, soundBytes: 0, problem: null };

const NEWLINE = 10;
/** The check sum in hexadecimal digits, and a space. */
const PREFIX_LENGTH = 9;

function isSound(line: Buffer): boolean {
  const json = line.subarray(PREFIX_LENGTH);
  return line.toString('latin1', 0, PREFIX_LENGTH) === `${checkSum(json)} `;
}

function* entriesOf(bytes: Buffer, from: number, to: number): Generator<unknown> {
  for (let at = from; at < to; ) {
    const end = bytes.indexOf(NEWLINE, at);
    yield parsed(bytes.toString('utf8', at + PREFIX_LENGTH, end));
    at = end + 1;
  }
}

/** Null for a text that is no JSON. Only somebody who makes check sums can write one. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

function checkSum(text: string | Buffer): string {
  return crc32(text).toString(16).padStart(8, '0');
}
