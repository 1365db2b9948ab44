import { crc32 } from 'node:zlib';

/** What a journal says, as far as it is sound. */
export interface JournalContent {
  /** The entries in the order in which they were written. */
  readonly entries: readonly unknown[];
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
  if (bytes.length < head.length && head.subarray(0, bytes.length).equals(bytes))
    return { entries: [], soundBytes: 0, problem: null };
  if (!bytes.subarray(0, head.length).equals(head))
    return { entries: [], soundBytes: 0, problem: 'it is no such file, or one of another version' };
  const entries: unknown[] = [];
  let at = head.length;
  for (let end = bytes.indexOf(10, at); end !== -1; end = bytes.indexOf(10, at)) {
    const json = soundText(bytes.toString('utf8', at, end));
    if (json === null) {
      return { entries, soundBytes: at, problem: `it is damaged from line ${entries.length + 2} on` };
    }
    entries.push(JSON.parse(json));
    at = end + 1;
  }
  return { entries, soundBytes: at, problem: null };
}

/** The JSON text of a line. Null if the line is damaged. */
function soundText(line: string): string | null {
  const json = line.slice(9);
  return line === `${checkSum(json)} ${json}` ? json : null;
}

function checkSum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
