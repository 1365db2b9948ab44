import { readRegularFile } from '../sys/readfile.js';
import { removeFile } from '../sys/replacefile.js';
import { AppendedFile } from './appendedfile.js';
import { type JournalContent, journalLine, NO_JOURNAL, readJournal } from './journallines.js';
import type { WriteReport } from './writereport.js';

/** A journal is rewritten when it is twice as long as after the last time, and by this many bytes longer. */
const MIN_GROWTH = 1 << 20;
/** Characters that wait for the disk. Beyond it they are dropped, and the journal is rewritten. */
const MAX_WAITING = 4 << 20;
/** Milliseconds until a journal that could not be written is tried again. */
const RETRY_MS = 5000;
const READ_LIMITS = { maxBytes: 512 << 20, noLinks: true };

export interface JournalOptions {
  readonly path: string;
  /** See {@link JournalFile.read}. */
  readonly kind: string;
  /** Length of what {@link JournalFile.read} has found sound. The rest is cut off. */
  readonly soundBytes: number;
  /** Entries that say the same as all entries so far, in pages. For a journal that is rewritten. */
  all(): AsyncIterable<readonly unknown[]>;
  readonly report: WriteReport;
}

/**
 * A file that entries are appended to, each with a check sum. A killed process leaves a sound beginning. The
 * file is made with the first entry, and rewritten when most of it is out of date: it stays short, however
 * long the process runs. Nothing waits for the disk.
 */
export class JournalFile {
  readonly #options: JournalOptions;
  readonly #file: AppendedFile;
  #rewrittenBytes = 0;
  /** Lines that are not in the file yet. */
  #waiting = '';
  /**
   * Lines since the rewriting began that are not in the new file yet. Null if the file is not rewritten, or
   * if there were too many.
   */
  #missed: string | null = null;
  /** The file lacks entries, and nothing is appended until it is rewritten. */
  #isStale = false;
  #mayRewrite = true;
  /** What changes the file does so in turn. */
  #turns: Promise<void> = Promise.resolve();
  #rewriting: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#file = new AppendedFile(options.path, headerOf(options.kind), options.soundBytes);
  }

  /**
   * @param kind what the entries are, with their version: the first line of the file
   * @throws Error if the file cannot be read. If it does not exist, it has no entries.
   */
  static async read(path: string, kind: string): Promise<JournalContent> {
    try {
      return readJournal(await readRegularFile(path, READ_LIMITS), headerOf(kind));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
      return NO_JOURNAL;
    }
  }

  /** The entries are on the disk soon. */
  append(entries: readonly unknown[]): void {
    const lines = entries.map(journalLine).join('');
    if (this.#missed !== null) this.#missed += lines;
    if ((this.#missed?.length ?? 0) > MAX_WAITING) this.#missed = null;
    if (this.#isStale) return;
    if (this.#waiting === '') this.#takeTurn(() => this.#write());
    this.#waiting += lines;
    if (this.#waiting.length > MAX_WAITING) this.#becomeStale();
  }

  /** From now on, {@link JournalOptions.all} is not asked. Resolves when it is asked no longer. */
  async stopRewriting(): Promise<void> {
    this.#mayRewrite = false;
    await this.#rewriting;
  }

  /** Resolves when all entries are written, or cannot be written. */
  async close(): Promise<void> {
    await this.stopRewriting();
    await this.#turns;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#file.close();
  }

  /** Removes the file. Only after {@link close}. */
  async remove(): Promise<void> {
    await removeFile(this.#options.path);
  }

  #takeTurn(work: () => Promise<void>): void {
    this.#turns = this.#turns.then(work).catch((error: Error) => this.#fail(error));
  }

  /** Waits for a turn. @returns what ends the turn */
  #holdTurn(): Promise<() => void> {
    return new Promise((resolve) => this.#takeTurn(() => new Promise((release) => resolve(release))));
  }

  async #write(): Promise<void> {
    const text = Buffer.from(this.#waiting);
    this.#waiting = '';
    if (this.#isStale || text.length === 0) return;
    await this.#file.append(text);
    this.#options.report.succeeded();
    if (await this.#file.wasRemoved()) this.#becomeStale();
    else if (this.#isLong) this.#rewriteSoon();
  }

  get #isLong(): boolean {
    return this.#file.bytes > 2 * this.#rewrittenBytes + MIN_GROWTH;
  }

  #becomeStale(): void {
    this.#isStale = true;
    this.#waiting = '';
    this.#rewriteSoon();
  }

  #rewriteSoon(): void {
    if (!this.#mayRewrite || this.#rewriting !== null || this.#retry !== null) return;
    this.#missed = '';
    this.#rewriting = this.#rewrite()
      .catch((error: Error) => {
        // If the old file is sound, it goes on. It is rewritten when it has grown again.
        if (this.#isStale) this.#fail(error);
        this.#rewrittenBytes = this.#file.bytes;
      })
      .finally(() => {
        this.#rewriting = null;
        this.#missed = null;
        if (this.#isStale) this.#rewriteLater();
        else if (this.#isLong) this.#rewriteSoon();
      });
  }

  /** The old file takes entries until the new one is in its place: a killed process loses none of them. */
  async #rewrite(): Promise<void> {
    let endTurn: (() => void) | undefined;
    try {
      await this.#file.replace(async (add) => {
        let bytes = 0;
        for await (const page of this.#options.all()) {
          const lines = page.map(journalLine).join('');
          await add(lines);
          bytes += lines.length;
        }
        this.#rewrittenBytes = bytes;
        endTurn = await this.#holdTurn();
        // The old file has them, and stays.
        if (this.#missed === null) throw new Error('more entries came than wait in memory');
        await add(this.#takeMissed());
      });
      this.#isStale = this.#missed === null;
      this.#waiting = this.#takeMissed();
      this.#takeTurn(() => this.#write());
      this.#options.report.succeeded();
    } finally {
      endTurn?.();
    }
  }

  #takeMissed(): string {
    const missed = this.#missed ?? '';
    if (this.#missed !== null) this.#missed = '';
    return missed;
  }

  #fail(error: Error): void {
    this.#options.report.failed(error.message);
    this.#isStale = true;
    this.#waiting = '';
    this.#rewriteLater();
  }

  #rewriteLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#rewriteSoon();
    }, RETRY_MS).unref();
  }
}

function headerOf(kind: string): string {
  return journalLine({ journal: kind });
}
