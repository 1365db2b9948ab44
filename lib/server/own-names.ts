import { isIP } from 'node:net';
import { parseHostPort } from '../net/hostport.js';

/**
 * What a node may be called in a request. A web page somewhere can give its own name the address of this node
 * (DNS rebinding), and a browser would let it read the answers; it cannot have an address for a name, nor one
 * of these.
 */
export class OwnNames {
  readonly #names: ReadonlySet<string>;

  /** @param names the node's; each stands for itself and for its name in the local network (RFC 6762) */
  constructor(names: readonly string[]) {
    const own = names.map((name) => name.toLowerCase());
    this.#names = new Set(['localhost', ...own, ...own.map((name) => `${name}.local`)]);
  }

  /** Whether a Host header means this node. Old clients send none, browsers always do. */
  include(host: string | undefined): boolean {
    if (host === undefined || host === '') return true;
    const { host: name = '', isBracketed = false } = parseHostPort(host) ?? {};
    return isBracketed ? isIP(name) === 6 : isIP(name) === 4 || this.#names.has(name.toLowerCase());
  }
}
