import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ClientSetup, FromClients, TaskName, Tasks } from './clienttasks.js';

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The clients of a run. They live in a thread of their own, because a network namespace belongs to a thread:
 * so commands and requests of the main thread stay in the network of this machine.
 */
export class Clients {
  /** Their addresses. */
  readonly addresses: readonly string[];
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  private constructor(worker: Worker, addresses: readonly string[]) {
    this.#worker = worker;
    this.addresses = addresses;
    worker.on('message', (message: FromClients) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new Error('the clients are gone')));
  }

  /** Resolves once the clients can ask. @throws Error that says what is missing */
  static async start(setup: ClientSetup): Promise<Clients> {
    const worker = new Worker(new URL('./clientprogram.js', import.meta.url), {
      name: 'clients',
      workerData: setup,
    });
    const [message] = (await once(worker, 'message')) as [FromClients];
    return new Clients(worker, message.type === 'ready' ? message.clients : []);
  }

  /** Carries out one task. Tasks may overlap. @throws Error if the thread has failed */
  do<Name extends TaskName>(name: Name, question: Parameters<Tasks[Name]>[0]): ReturnType<Tasks[Name]> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, name, question });
    }) as ReturnType<Tasks[Name]>;
  }

  /** Ends the thread, and with it the namespace. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #receive(message: FromClients): void {
    if (message.type === 'ready') return;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'done') waiting?.resolve(message.answer as never);
    else waiting?.reject(new Error(message.reason));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
