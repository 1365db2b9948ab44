/** Time between two lines where standard error is no terminal, ms. */
const LINE_PERIOD_MS = 10_000;
/** Time between two drawings of the line on a terminal, ms. */
const DRAW_PERIOD_MS = 1000;

/** Width of a terminal that does not tell its own. */
const DEFAULT_COLUMNS = 80;

/** The stream that progress is shown on. */
export type ProgressStream = Pick<NodeJS.WriteStream, 'write' | 'isTTY'> & { readonly columns?: number };

/**
 * Tells on standard error what a long command does now, and since when. On a terminal it is one line that
 * changes; elsewhere it is a line now and then.
 */
export class ProgressLine {
  readonly #stream: ProgressStream;
  readonly #timer: NodeJS.Timeout;
  #text = '';
  #since = 0;

  constructor(stream: ProgressStream = process.stderr) {
    this.#stream = stream;
    this.#timer = setInterval(() => this.#draw(), stream.isTTY ? DRAW_PERIOD_MS : LINE_PERIOD_MS);
    this.#timer.unref();
  }

  show(text: string): void {
    const isFirst = this.#text === '';
    this.#text = text;
    this.#since = performance.now();
    if (isFirst || this.#stream.isTTY) this.#draw();
  }

  /** Removes the line of a terminal. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#stream.isTTY) this.#stream.write(ERASED_LINE);
  }

  #draw(): void {
    if (this.#text === '') return;
    const seconds = Math.round((performance.now() - this.#since) / 1000);
    const line = `${this.#text}${seconds > 0 ? ` (${seconds} s)` : ''}`;
    const { columns = DEFAULT_COLUMNS } = this.#stream;
    // A longer line would take two rows, of which only the last could be erased.
    this.#stream.write(this.#stream.isTTY ? `${ERASED_LINE}${line.slice(0, columns - 1)}` : `${line}\n`);
  }
}

/** To the first column, and erase the line (ECMA-48, EL). */
const ERASED_LINE = '\r\x1b[2K';
