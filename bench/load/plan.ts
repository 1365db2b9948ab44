/** What the bench tells the load programs, and what they answer. */

/** Ports of the load server, each with one way to behave. */
export const SERVER_PORTS = {
  /** UDP: sends every datagram back. TCP: sends every message back. */
  echo: 9000,
  /** TCP: reads a request, answers, and closes first: so the client's ports are not used up by TIME_WAIT. */
  once: 9001,
  /** UDP: counts datagrams, see {@link COUNTER}. */
  count: 9002,
  /** UDP: each answers with its own port number. */
  who: [9003, 9004],
  /** TCP: sends every message back. Several programs share it, so that there may be many connections. */
  keep: 9005,
} as const;

/** Bytes of a TCP request and of its answer. */
export const MESSAGE_SIZE = 64;

/** Positions of 32-bit words in a datagram for the counting port, and in the answer to a question. */
export const COUNTER = {
  /** Number of the run of datagrams. A later run has a greater number. */
  run: 0,
  /** 1: asks how many datagrams of the run arrived. 0: the datagram is counted. */
  question: 1,
  /** In the answer: number of datagrams. */
  count: 1,
  /** In the answer: microseconds from the first datagram to the last one. */
  span: 2,
} as const;

export type Work =
  /** UDP round trips. Each flow keeps `outstanding` datagrams of `size` bytes under way. */
  | { readonly kind: 'udp'; readonly flows: number; readonly outstanding: number; readonly size: number }
  /** UDP: each client opens a flow, makes some round trips, and closes the flow, again and again. */
  | (SourceAddresses & { readonly kind: 'flows'; readonly clients: number; readonly requests: number })
  /** UDP at a fixed rate: one round trip on a new flow each time. */
  | (SourceAddresses & { readonly kind: 'lookups'; readonly perSecond: number })
  /** UDP in one direction: finds the highest rate that arrives. */
  | { readonly kind: 'one-way'; readonly flows: number; readonly size: number }
  /** TCP: each client connects, asks, gets the answer, and closes, again and again. */
  | { readonly kind: 'connect'; readonly clients: number }
  /** TCP round trips on open connections, with one message under way on each. */
  | { readonly kind: 'roundtrip'; readonly connections: number }
  /** Changes a Service, see {@link ChangeWork}. */
  | ChangeWork;

export interface SourceAddresses {
  /** Addresses of the client pod from which new flows come. */
  readonly sources: readonly string[];
}

/** The port in a version of a Service in which nothing answers. */
export const NOBODY = 0;

/** Renames versions in turn to the file, and waits each time until new flows get the version's endpoint. */
export interface ChangeWork {
  readonly kind: 'change';
  /** The file that the API server follows. */
  readonly file: string;
  /** Versions of the file, each with the port that answers then, or {@link NOBODY}. */
  readonly versions: readonly { readonly file: string; readonly port: number }[];
  /** Number of changes. */
  readonly times: number;
  /** Milliseconds between two changes. */
  readonly pauseMs: number;
}

export type WorkOf<Kind extends Work['kind']> = Extract<Work, { readonly kind: Kind }>;

/** The time of a measurement. Seconds of the warm-up, which does not count, and seconds that count. */
export interface Span {
  readonly warmup: number;
  readonly duration: number;
}

/** Where the load goes. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

/** For the program that holds connections. */
export interface HoldPlan extends SourceAddresses {
  readonly address: string;
  readonly connections: number;
}

export interface LoadPlan extends Target, Span {
  readonly work: Work;
}

export interface LoadResult {
  /** Round trips, connections or datagrams a second. */
  readonly rate: number;
  /** All of them, with those of the warm-up: the proxy's CPU time was spent on all. */
  readonly total: number;
  /** Datagrams that did not come back, or connections that failed. */
  readonly losses: number;
  /** Microseconds of a round trip. 0: the load does not measure single round trips. */
  readonly p50: number;
  readonly p99: number;
}
