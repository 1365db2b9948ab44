import { takeAbstractName } from '../sys/abstractname.js';
import { closeSocket } from '../sys/socket.js';

const NAME = 'kube-portal';

/** Only the process that holds this lock may serve the node, that is, its network namespace. */
export class NodeLock {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws Error if another process holds the lock */
  static take(): NodeLock {
    const fd = takeAbstractName(NAME);
    if (fd !== null) return new NodeLock(fd);
    throw new Error(
      `another kube-portal serves this node already (the abstract socket @${NAME} is held; ` +
        'ss -xlp shows by whom); stop it first',
    );
  }

  release(): void {
    closeSocket(this.#fd);
  }
}
