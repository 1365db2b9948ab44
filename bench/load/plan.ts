/** What the orchestrator tells the load programs, and what they answer. */

/** Ports of the load server, each with one way to behave. */
export const SERVER_PORTS = {
  /** UDP: sends every datagram back. TCP: sends every message back. */
  echo: 9000,
  /** TCP: reads a request, answers, and is the first to close, so that TIME_WAIT does not use up the client's ports. */
  once: 9001,
} as const;

/** Bytes of a TCP request and of its answer. */
export const MESSAGE_SIZE = 64;

export type Work =
  /** UDP round trips: each flow keeps that many datagrams under way. */
  | { readonly kind: 'udp'; readonly flows: number; readonly outstanding: number; readonly size: number }
  /** Connect, request, response, close. */
  | { readonly kind: 'connect'; readonly clients: number }
  /** Round trips on open connections, one message under way on each. */
  | { readonly kind: 'roundtrip'; readonly connections: number };

/** Seconds before counting begins, and seconds that count. */
export interface Span {
  readonly warmup: number;
  readonly duration: number;
}

export interface LoadPlan extends Span {
  readonly work: Work;
  readonly address: string;
  readonly port: number;
}

export interface LoadResult {
  /** Round trips or connections in the time that counts. */
  readonly amount: number;
  /** Seconds that counted, as measured. */
  readonly seconds: number;
  /** The same as `amount` with the warm-up: what the proxy's CPU time was spent on. */
  readonly total: number;
  /** Datagrams that never came back, connections that failed. */
  readonly losses: number;
  /** Microseconds for one round trip; 0 where the load does not look at single ones. */
  readonly p50: number;
  readonly p99: number;
}
