/** Who asks, as the question may have to say. */
export interface Asker {
  /** 16 hexadecimal digits that no other asker has. */
  readonly token: string;
  /** Number of the question, from 0. */
  readonly question: number;
  readonly address: string;
  /** Local port of the socket. */
  readonly port: number;
}

/** A way to make a backend say who it is. Pure functions. */
export interface Dialect {
  /** Whether answers come from the backend's own address, and not from the Service's. UDP only. */
  readonly isAnsweredDirectly?: boolean;
  /** The bytes to send. Null if the server speaks first. */
  question(asker: Asker): Uint8Array | null;
  /** What is sent after the answer, so that the backend forgets the asker. */
  farewell?(asker: Asker): Uint8Array;
  /**
   * The name in an answer.
   * @param answer a datagram, or what a connection has brought so far
   * @param isWhole whether no more will come
   * @param source the address that a datagram came from
   * @returns null if it tells no name; undefined if more may come that does
   */
  nameIn(answer: Buffer, asker: Asker, isWhole: boolean, source?: string): string | null | undefined;
}

/** Characters of a name that are kept. */
const LONGEST_NAME = 253;

/** A name for people and tables: one line, without control characters. Null if nothing is left. */
export function tidyName(text: string): string | null {
  const name = text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, LONGEST_NAME);
  return name === '' ? null : name;
}
