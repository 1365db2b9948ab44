import type { PluginCommand } from './plugin-command.js';
import { runPlugin } from './plugin-run.js';

/** Enough for a plug-in that asks a cloud over a slow link, on a slow board. */
const PLUGIN_TIMEOUT_MS = 30_000;

/** A plug-in's answer: the status of an ExecCredential (client.authentication.k8s.io). */
export interface PluginCredential {
  readonly token?: string;
  /** PEM. */
  readonly cert?: string;
  /** PEM. */
  readonly key?: string;
  /** Milliseconds since the epoch. Infinite: the plug-in does not say. */
  readonly expiresMs: number;
}

/** A program that prints credentials. Requests at the same time share one run. */
export class ExecPlugin {
  readonly #command: PluginCommand;
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();
  /** The answer of the last run. Null: none, or the server refused it. */
  #credential: PluginCredential | null = null;
  #running: Promise<PluginCredential> | null = null;

  /** @param timeoutMs milliseconds for one run; another value only in tests */
  constructor(command: PluginCommand, timeoutMs = PLUGIN_TIMEOUT_MS) {
    this.#command = command;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws Error that names the command and says what is wrong with it or with its answer */
  async credential(): Promise<PluginCredential> {
    if (this.#credential !== null && Date.now() < this.#credential.expiresMs) return this.#credential;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** The server refused the credential. The next request runs the program again. */
  invalidate(): void {
    this.#credential = null;
  }

  /** Ends the running program. After this, no program is started. */
  close(): void {
    this.#closed.abort();
  }

  async #run(): Promise<PluginCredential> {
    const { command } = this.#command;
    const { signal } = this.#closed;
    signal.throwIfAborted();
    const answer = await runPlugin(this.#command, this.#timeoutMs, signal);
    try {
      this.#credential = readCredential(answer);
      return this.#credential;
    } catch (error) {
      throw new Error(
        `credential plug-in ${command}: its answer is not an ExecCredential: ${(error as Error).message}`,
      );
    }
  }
}

interface RawCredential {
  readonly kind?: unknown;
  readonly status?: { readonly [field: string]: unknown } | null;
}

/** @throws Error that names the field, but not its value */
function readCredential(text: string): PluginCredential {
  const { kind, status } = (parseJson(text) ?? {}) as RawCredential;
  if (kind !== 'ExecCredential' || typeof status !== 'object' || status === null) {
    throw new Error('kind or status is missing');
  }
  const token = stringIn(status, 'token');
  const cert = stringIn(status, 'clientCertificateData');
  const key = stringIn(status, 'clientKeyData');
  const expiry = stringIn(status, 'expirationTimestamp');
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new Error('status.token has characters that a token cannot have');
  if ((cert === undefined) !== (key === undefined))
    throw new Error('clientCertificateData and clientKeyData must be there together');
  if (token === undefined && cert === undefined)
    throw new Error('status has neither a token nor a certificate');
  const expiresMs = expiry === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiry);
  if (Number.isNaN(expiresMs))
    throw new Error('status.expirationTimestamp is not a time, such as 2030-01-31T12:00:00Z');
  return { ...(token && { token }), ...(cert && key && { cert, key }), expiresMs };
}

/** V8's own message is not used: it shows a part of the text, which may be a secret. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
}

function stringIn(status: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const value = status[field];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new Error(`status.${field} is not a string`);
  return value;
}
