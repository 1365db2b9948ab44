import { EventEmitter } from 'node:events';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { Wakeup } from '../sys/wakeup.js';
import type {
  DataplaneEvent,
  FromWorker,
  SuppressedEvents,
  ToWorker,
  WorkerSetup,
} from './shared/messages.js';
import type { PinChange } from './shared/pins.js';
import type { Answer, Asked, Question, Topic } from './shared/questions.js';

/** A question that has no answer yet: the functions that settle its promise. */
interface PendingAnswer {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

export interface WorkerThreadEvents {
  event: [DataplaneEvent];
  suppressed: [SuppressedEvents];
  pins: [readonly PinChange[]];
  /** The thread ended although nobody stopped it. Emitted once. */
  failed: [Error];
}

/** One worker thread, seen from the main thread. It asks the worker questions and passes on its events. */
export class WorkerThread extends EventEmitter<WorkerThreadEvents> {
  readonly #port: MessagePort;
  readonly #wakeup: Wakeup;
  readonly #exited: Promise<unknown>;
  readonly #pending = new Map<number, PendingAnswer>();
  #lastId = 0;
  #failure: Error | null = null;
  #stopped: Promise<void> | null = null;

  /** Starts the thread. Its loop runs when it has answered its first question. */
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
    // The thread may end by an error long before stop() waits for its end.
    this.#exited = new Promise((resolve) => worker.once('exit', resolve));
    worker.on('exit', (code) => {
      const error = new Error(`relay worker ${setup.index} ended with code ${code}`);
      if (this.#stopped !== null) this.#rejectPending(error);
      else this.#fail(error);
    });
  }

  /**
   * Asks a question. Many questions may be under way at once. They are answered in their order.
   * @throws Error (the promise rejects) with the reason why the worker has no answer or has ended
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
   * Tells the thread to close all listeners and reset all connections. Resolves when the thread has ended,
   * at once if it has ended before.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#send({ type: 'stop' });
    await this.#exited;
    // Read the thread's last messages. close() would drop them.
    for (;;) {
      const last = receiveMessageOnPort(this.#port);
      if (last === undefined) break;
      this.#receive(last.message as FromWorker);
    }
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
      case 'pins':
        this.emit('pins', message.changes);
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

  /** The thread has ended: open questions and all later ones are rejected. */
  #rejectPending(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
