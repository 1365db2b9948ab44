import { isIP } from 'node:net';
import { parseHostPort } from '../net/hostport.js';

/**
 * The host names that a request may use for this node. They protect against DNS rebinding: the owner of a web
 * page gives the page's name the address of this node, and the browser then lets the page read the answers.
 * The name in such a request is neither an IP address nor one of these names.
 */
export class OwnNames {
  readonly #names: ReadonlySet<string>;

  /** @param names the names of the node. `NAME.local` (RFC 6762) is accepted for each of them too. */
  constructor(names: readonly string[]) {
    const own = names.map((name) => name.toLowerCase());
    this.#names = new Set(['localhost', ...own, ...own.map((name) => `${name}.local`)]);
  }

  /** Whether a Host header names this node. An absent header is accepted: every browser sends one. */
  include(host: string | undefined): boolean {
    if (host === undefined || host === '') return true;
    const { host: name = '', isBracketed = false } = parseHostPort(host) ?? {};
    return isBracketed ? isIP(name) === 6 : isIP(name) === 4 || this.#names.has(name.toLowerCase());
  }
}
