import { EventEmitter } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { Wakeup } from '../sys/wakeup.js';
import type {
  DataplaneEvent,
  FromWorker,
  SuppressedEvents,
  ToWorker,
  WorkerSetup,
} from './shared/messages.js';
import type { Answer, Asked, Question, Topic } from './shared/questions.js';

/** Who waits for the answer to a question. */
interface PendingAnswer {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

export interface WorkerThreadEvents {
  event: [DataplaneEvent];
  suppressed: [SuppressedEvents];
  /** The thread ended by itself, which it never should. Said once. */
  failed: [Error];
}

/** One worker thread, seen from the main thread: asks it questions, and hears of what it reports. */
export class WorkerThread extends EventEmitter<WorkerThreadEvents> {
  readonly #port: MessagePort;
  readonly #wakeup: Wakeup;
  readonly #exited: Promise<unknown>;
  readonly #pending = new Map<number, PendingAnswer>();
  #lastId = 0;
  #failure: Error | null = null;
  #stopped: Promise<void> | null = null;

  /** Starts the thread. It has a loop once it has answered something. */
  constructor(setup: Omit<WorkerSetup, 'wakeupFd'>) {
    super();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#wakeup = Wakeup.open();
    const worker = new Worker(new URL('./worker/worker.js', import.meta.url), {
      name: `relay-${setup.index}`,
      workerData: { setup: { ...setup, wakeupFd: this.#wakeup.fd }, port: port2 },
      transferList: [port2],
    });
    port1.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error));
    // It may end unasked, long before stop() waits for that.
    this.#exited = new Promise((resolve) => worker.once('exit', resolve));
    worker.on('exit', (code) => {
      const error = new Error(`relay worker ${setup.index} ended with code ${code}`);
      if (this.#stopped !== null) this.#rejectPending(error);
      else this.#fail(error);
    });
  }

  /**
   * Questions are sent, and answered, in the order in which they are asked; many may be under way at once.
   * @throws Error (the promise rejects) with the worker's reason for having no answer, or with that for which
   *   it is gone
   */
  ask<T extends Topic>(topic: T, question: Question<T>): Promise<Answer<T>> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send({ type: 'ask', id, topic, question } as Asked);
    });
  }

  /**
   * Tells the thread to close all listeners and reset what is open; resolves at its end, also where it has
   * ended before.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#send({ type: 'stop' });
    await this.#exited;
    this.#port.close();
    this.#wakeup.close();
  }

  #send(message: ToWorker): void {
    this.#port.postMessage(message);
    this.#wakeup.signal();
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'answer':
        this.#takePending(message.id)?.resolve(message.answer as never);
        break;
      case 'noAnswer':
        this.#takePending(message.id)?.reject(new Error(message.reason));
        break;
      case 'event':
        this.emit('event', message.event);
        break;
      case 'suppressed':
        this.emit('suppressed', message.suppressed);
        break;
    }
  }

  #takePending(id: number): PendingAnswer | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#rejectPending(error);
    this.emit('failed', error);
  }

  /** Nobody waits any longer for a thread that is gone. */
  #rejectPending(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
