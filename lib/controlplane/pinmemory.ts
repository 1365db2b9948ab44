import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Dataplane } from '../dataplane/dataplane.js';
import { JournalFile } from '../state/journal.js';
import { type JournalContent, NO_JOURNAL } from '../state/journallines.js';
import { PINS_FILE } from '../state/statefile.js';
import { WriteReport } from '../state/writereport.js';
import { restoredPins, savedPin } from './pinrecords.js';

/** What the entries of the journal are. Another version gets another kind. */
const KIND = 'kube-portal pins 1';
const LOSS = { what: 'the pins of session affinity', loss: 'a restart loses them' };

/** Keeps the pins of all workers in the state directory, for the next run. */
export class PinMemory {
  readonly #dataplane: Dataplane;
  readonly #journal: JournalFile;

  private constructor(dataplane: Dataplane, journal: JournalFile) {
    this.#dataplane = dataplane;
    this.#journal = journal;
  }

  /**
   * Gives the data plane the pins of the last run, and keeps what it tells of pins from now on. Call this
   * before the first portal is there.
   */
  static async open(stateDir: string, dataplane: Dataplane, log: Logger): Promise<PinMemory> {
    const path = join(stateDir, PINS_FILE);
    const { entries, soundBytes } = await read(path, log);
    const pins = restoredPins(entries, Date.now());
    dataplane.pins.restore(pins);
    log.debug({ pins: pins.length }, 'pins of the last run');
    const journal = new JournalFile({
      path,
      kind: KIND,
      soundBytes,
      all: () => allPins(dataplane),
      report: new WriteReport(path, log, LOSS),
    });
    dataplane.on('pins', (changes) => journal.append(changes.map(savedPin)));
    return new PinMemory(dataplane, journal);
  }

  /** The workers are about to end: they are not asked for pins any longer. */
  prepareToEnd(): Promise<void> {
    return this.#journal.stopRewriting();
  }

  /** Resolves when all that the workers have told is saved. If there are no pins, the file is removed. */
  async close(): Promise<void> {
    await this.#journal.close();
    const { cells, saved } = this.#dataplane.pins;
    if (cells.total === 0 && saved.size === 0) await this.#journal.remove();
  }
}

/** The log says why a journal, or the rest of it, is ignored. */
async function read(path: string, log: Logger): Promise<JournalContent> {
  try {
    const content = await JournalFile.read(path, KIND);
    const { count, problem } = content;
    if (problem !== null) {
      const kept = count === 0 ? 'the file is ignored' : 'the lines before that are used';
      log.warn(`${path} cannot be used: ${problem}; ${kept}: clients may get other pods than before`);
    }
    return content;
  } catch (error) {
    const { message } = error as Error;
    log.warn(
      `${path} cannot be used: ${message}; the file is ignored: clients may get other pods than before`,
    );
    return NO_JOURNAL;
  }
}

async function* allPins({ pins }: Dataplane): AsyncGenerator<readonly unknown[]> {
  for (const waiting of pins.saved.waiting()) yield waiting.map(savedPin);
  for await (const page of pins.list({ service: null, client: null })) yield page.map(savedPin);
}
