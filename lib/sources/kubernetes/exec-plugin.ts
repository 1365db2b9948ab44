import type { PluginCommand } from './plugin-command.js';
import { runPlugin } from './plugin-run.js';

/** Time for a plug-in that asks a cloud over a slow link, on a slow board. */
const PLUGIN_TIMEOUT_MS = 30_000;

/** What a plug-in gives (status of an ExecCredential, client.authentication.k8s.io). */
export interface PluginCredential {
  readonly token?: string;
  /** PEM. */
  readonly cert?: string;
  readonly key?: string;
  /** Milliseconds since the epoch; infinite where the plug-in does not say. */
  readonly expiresMs: number;
}

/** A program that prints credentials. Requests that need credentials at the same time share one run. */
export class ExecPlugin {
  readonly #command: PluginCommand;
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();
  #known: PluginCredential | null = null;
  #running: Promise<PluginCredential> | null = null;

  /** @param timeoutMs another only in tests */
  constructor(command: PluginCommand, timeoutMs = PLUGIN_TIMEOUT_MS) {
    this.#command = command;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws Error that names the command and what is wrong with it or its answer */
  async credential(): Promise<PluginCredential> {
    if (this.#known !== null && Date.now() < this.#known.expiresMs) return this.#known;
    this.#running ??= this.#ask().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** What it gave was refused. */
  forget(): void {
    this.#known = null;
  }

  /** Ends the running program. It is not started again. */
  close(): void {
    this.#closed.abort();
  }

  async #ask(): Promise<PluginCredential> {
    const { command } = this.#command;
    const { signal } = this.#closed;
    signal.throwIfAborted();
    const answer = await runPlugin(this.#command, this.#timeoutMs, signal);
    try {
      this.#known = readCredential(answer);
      return this.#known;
    } catch (error) {
      throw new Error(
        `credential plug-in ${command}: its answer is no ExecCredential: ${(error as Error).message}`,
      );
    }
  }
}

interface RawCredential {
  readonly kind?: unknown;
  readonly status?: { readonly [field: string]: unknown } | null;
}

/** @throws Error that names the field and tells nothing of its value */
function readCredential(text: string): PluginCredential {
  const { kind, status } = (parseJson(text) ?? {}) as RawCredential;
  if (kind !== 'ExecCredential' || typeof status !== 'object' || status === null) {
    throw new Error('kind or status is missing');
  }
  const token = textOf(status, 'token');
  const cert = textOf(status, 'clientCertificateData');
  const key = textOf(status, 'clientKeyData');
  const expiry = textOf(status, 'expirationTimestamp');
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new Error('status.token is no token');
  if ((cert === undefined) !== (key === undefined)) throw new Error('a certificate needs its key');
  if (token === undefined && cert === undefined) throw new Error('it has neither a token nor a certificate');
  const expiresMs = expiry === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiry);
  if (Number.isNaN(expiresMs)) throw new Error('status.expirationTimestamp is no time');
  return { ...(token && { token }), ...(cert && key && { cert, key }), expiresMs };
}

/** V8's own message would show a piece of the text. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it is no JSON');
  }
}

function textOf(status: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const value = status[field];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new Error(`status.${field} is no text`);
  return value;
}
