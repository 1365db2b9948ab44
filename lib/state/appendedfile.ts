import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { replaceFileBy } from '../sys/replacefile.js';

/** Only root may read: a journal of pins says who talks to whom. */
const MODE = 0o600;

/** A file that begins with a header, and that text is appended to. It is made with the first text. */
export class AppendedFile {
  readonly #path: string;
  readonly #header: string;
  #handle: FileHandle | null = null;
  #bytes: number;

  /** @param bytes length of what is there and sound. The rest is cut off. 0: there is no such file. */
  constructor(path: string, header: string, bytes: number) {
    this.#path = path;
    this.#header = header;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async append(text: Buffer): Promise<void> {
    if (this.#bytes === 0) {
      this.#handle = await replaceFileBy(this.#path, MODE, (file) => file.writeFile(this.#header));
      this.#bytes = this.#header.length;
    }
    this.#handle ??= await openForAppending(this.#path, this.#bytes);
    await this.#handle.writeFile(text);
    this.#bytes += text.length;
  }

  /**
   * Replaces the file in one step. It can be appended to while `write` runs.
   * @param write gets a function that adds text to the new file, after its header
   */
  async replace(write: (add: (text: string) => Promise<void>) => Promise<void>): Promise<void> {
    let bytes = 0;
    const handle = await replaceFileBy(this.#path, MODE, async (file) => {
      const add = async (text: string) => {
        const written = Buffer.from(text);
        await file.writeFile(written);
        bytes += written.length;
      };
      await add(this.#header);
      await write(add);
    });
    await this.close();
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /** Whether somebody has removed the open file, perhaps with the whole directory. */
  async wasRemoved(): Promise<boolean> {
    return this.#handle !== null && (await this.#handle.stat()).nlink === 0;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}

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
