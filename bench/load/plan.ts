/** What the orchestrator tells the load programs, and what they answer. */

/** Ports of the load server, each with one way to behave. */
export const SERVER_PORTS = {
  /** UDP: sends every datagram back. TCP: sends every message back. */
  echo: 9000,
  /** TCP: reads a request, answers, and is the first to close, so that TIME_WAIT does not use up the client's ports. */
  once: 9001,
  /** UDP: counts; see {@link COUNTER}. */
  count: 9002,
  /** UDP: both answer with their own number. */
  who: [9003, 9004],
} as const;

/** Bytes of a TCP request and of its answer. */
export const MESSAGE_SIZE = 64;

/** Words of a datagram for the counting port, and of its answer to a question. */
export const COUNTER = {
  /** Which run of sending it belongs to; later runs have greater numbers. */
  run: 0,
  /** 1 asks how many datagrams of the run arrived; others are 0 and counted. */
  question: 1,
  /** In the answer: datagrams. */
  count: 1,
  /** In the answer: microseconds from the first to the last of them. */
  span: 2,
} as const;

export type Work =
  /** UDP round trips: each flow keeps that many datagrams under way. */
  | { readonly kind: 'udp'; readonly flows: number; readonly outstanding: number; readonly size: number }
  /** UDP: a new flow, one round trip, its end. */
  | { readonly kind: 'flows'; readonly clients: number }
  /** UDP in one direction: the highest rate that arrives. */
  | { readonly kind: 'one-way'; readonly flows: number; readonly size: number }
  /** Connect, request, response, close. */
  | { readonly kind: 'connect'; readonly clients: number }
  /** Round trips on open connections, one message under way on each. */
  | { readonly kind: 'roundtrip'; readonly connections: number }
  /** Renames files in turn to one name, and waits each time for new flows to meet the endpoint that the file has. */
  | ChangeWork;

/** In the place of a port where no one answers. */
export const NOBODY = 0;

export interface ChangeWork {
  readonly kind: 'change';
  /** The file that the API server follows. */
  readonly file: string;
  /** Its versions, each with the port that answers then, or NOBODY. */
  readonly versions: readonly { readonly file: string; readonly port: number }[];
  readonly times: number;
}

export type WorkOf<Kind extends Work['kind']> = Extract<Work, { readonly kind: Kind }>;

/** Seconds before counting begins, and seconds that count. */
export interface Span {
  readonly warmup: number;
  readonly duration: number;
}

/** Where to. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

export interface LoadPlan extends Target, Span {
  readonly work: Work;
}

export interface LoadResult {
  /** Round trips, connections or datagrams a second. */
  readonly rate: number;
  /** All of them, warm-up included: what the proxy's CPU time was spent on. */
  readonly total: number;
  /** Datagrams that never came back, connections that failed. */
  readonly losses: number;
  /** Microseconds for one round trip; 0 where the load does not look at single ones. */
  readonly p50: number;
  readonly p99: number;
}
