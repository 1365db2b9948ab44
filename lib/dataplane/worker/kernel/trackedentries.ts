import { SysError } from '../../../sys/errno.js';
import { ConntrackSocket } from '../../../sys/netlink/conntrack.js';
import type { TrackedFlow } from '../../../sys/netlink/flow.js';
import type { Tuple } from '../../../sys/netlink/tuple.js';

/** Looks at single entries of the kernel's table of tracked flows. */
export class TrackedEntries {
  readonly #conntrack = ConntrackSocket.open();

  /** The entry of a flow. Null if there is none, or if the kernel does not tell. */
  find(original: Tuple): TrackedFlow | null {
    return this.#ask((conntrack) => conntrack.get(original));
  }

  /** As {@link find}, by the tuple of the answers. */
  findByReply(reply: Tuple): TrackedFlow | null {
    return this.#ask((conntrack) => conntrack.getByReply(reply));
  }

  #ask(question: (conntrack: ConntrackSocket) => TrackedFlow | null): TrackedFlow | null {
    try {
      return question(this.#conntrack);
    } catch (error) {
      if (error instanceof SysError) return null;
      throw error;
    }
  }
}
