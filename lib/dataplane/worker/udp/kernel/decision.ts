import type { SocketAddress } from '../../../../sys/sockaddr.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';

/** What becomes of a first datagram. */
export class Decision {
  /** Null: the relay gets it. */
  target: Target | null = null;
  portal: ServedPortal | null = null;
  /** The address that takes the place of the client's. Null: none does. */
  source: SocketAddress | null = null;
  /** Whether it is the first one of its flow, as far as is known here. */
  isNew = false;
}
