import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { readRegularFile } from '../sys/readfile.js';
import { removeFile, replaceFileBy } from '../sys/replacefile.js';
import { type JournalContent, journalLine, NO_JOURNAL, readJournal } from './journallines.js';
import type { WriteReport } from './writereport.js';

/** A journal is rewritten when it is twice as long as after the last time, and by this many bytes longer. */
const MIN_GROWTH = 1 << 20;
/** Characters that wait for the disk. Beyond it they are dropped, and the journal is rewritten. */
const MAX_WAITING = 4 << 20;
/** Milliseconds until a journal that could not be written is tried again. */
const RETRY_MS = 5000;
const READ_LIMITS = { maxBytes: 512 << 20, noLinks: true };
/** Only root may read: a journal of pins says who talks to whom. */
const MODE = 0o600;

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
  readonly #header: string;
  #handle: FileHandle | null = null;
  #bytes: number;
  #rewrittenBytes = 0;
  #waiting = '';
  /** The file does not have all entries. */
  #isStale = false;
  #mayRewrite = true;
  #work: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#header = headerOf(options.kind);
    this.#bytes = options.soundBytes;
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
    // After a failure, the journal is rewritten. Nothing has to wait for that.
    if (this.#retry !== null) return;
    this.#waiting += entries.map(journalLine).join('');
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting = '';
      this.#isStale = true;
    }
    this.#begin();
  }

  /** From now on, {@link JournalOptions.all} is not asked. Resolves when it is asked no longer. */
  async stopRewriting(): Promise<void> {
    this.#mayRewrite = false;
    await this.#work;
  }

  /** Resolves when all entries are written, or cannot be written. */
  async close(): Promise<void> {
    await this.stopRewriting();
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#closeHandle();
  }

  /** Removes the file. Only after {@link close}. */
  async remove(): Promise<void> {
    await removeFile(this.#options.path);
  }

  #begin(): void {
    this.#work ??= this.#run().finally(() => {
      this.#work = null;
    });
  }

  async #run(): Promise<void> {
    try {
      // Entries of one turn of the event loop go to the disk together.
      await Promise.resolve();
      while (this.#waiting !== '' || this.#isRewriteDue) {
        if (this.#isRewriteDue) await this.#rewrite();
        else await this.#write();
      }
      this.#options.report.succeeded();
    } catch (error) {
      this.#options.report.failed((error as Error).message);
      this.#isStale = true;
      this.#waiting = '';
      await this.#closeHandle();
      this.#retry ??= setTimeout(() => {
        this.#retry = null;
        this.#begin();
      }, RETRY_MS).unref();
    }
  }

  get #isRewriteDue(): boolean {
    const isLong = this.#bytes > 2 * this.#rewrittenBytes + MIN_GROWTH;
    return this.#mayRewrite && (this.#isStale || isLong);
  }

  async #rewrite(): Promise<void> {
    // What waits is older than the pages: they are asked for now.
    this.#waiting = '';
    this.#isStale = false;
    await this.#replace(this.#options.all());
  }

  async #write(): Promise<void> {
    const text = Buffer.from(this.#waiting);
    this.#waiting = '';
    if (this.#bytes === 0) await this.#replace(nothing());
    this.#handle ??= await openForAppending(this.#options.path, this.#bytes);
    await this.#handle.writeFile(text);
    this.#bytes += text.length;
    // Somebody has removed the file, perhaps with the whole directory.
    if ((await this.#handle.stat()).nlink === 0) this.#isStale = true;
  }

  async #replace(pages: AsyncIterable<readonly unknown[]>): Promise<void> {
    await this.#closeHandle();
    let bytes = this.#header.length;
    this.#handle = await replaceFileBy(this.#options.path, MODE, async (file) => {
      await file.writeFile(this.#header);
      for await (const page of pages) {
        const text = Buffer.from(page.map(journalLine).join(''));
        await file.writeFile(text);
        bytes += text.length;
      }
    });
    this.#bytes = bytes;
    this.#rewrittenBytes = bytes;
  }

  async #closeHandle(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}

function headerOf(kind: string): string {
  return journalLine({ journal: kind });
}

async function* nothing(): AsyncGenerator<readonly unknown[]> {}

async function openForAppending(path: string, soundBytes: number): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_NOFOLLOW } = constants;
  const file = await open(path, O_WRONLY | O_APPEND | O_NOFOLLOW);
  try {
    await file.truncate(soundBytes);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
