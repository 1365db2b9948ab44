/** This share of the node's local ports is left to other programs. */
const NODE_SHARE = 0.25;

/**
 * The local ports of one worker's UDP sockets. Two sockets may have the same local port if they are connected
 * to different addresses or ports. So each endpoint has all ports of the worker, and flows to one endpoint
 * take no port from another. Some ports of the node are never used.
 *
 * @typeParam Holder the owner of a port
 */
export class LocalPorts<Holder> {
  readonly #ports: readonly number[];
  readonly #endpoints = new Map<string, EndpointPorts<Holder>>();

  /** @param ports the node's local ports (lib/sys/portrange.ts); each worker has its own part of them */
  constructor(ports: readonly number[], worker: number, workers: number) {
    const usable = ports.slice(0, Math.ceil(ports.length * (1 - NODE_SHARE)));
    const own = usable.filter((_, index) => index % workers === worker);
    this.#ports = own.length > 0 ? own : usable;
  }

  /** The ports towards one endpoint. @param endpoint its address and port */
  towards(endpoint: string): EndpointPorts<Holder> {
    return this.#endpoints.get(endpoint) ?? new EndpointPorts(endpoint, this.#ports, this.#endpoints);
  }
}

/**
 * The local ports towards one endpoint. They are handed out in turn, so the next port is free or belongs to
 * the oldest socket.
 */
export class EndpointPorts<Holder> {
  readonly #holders = new Map<number, Holder>();
  readonly #endpoint: string;
  readonly #ports: readonly number[];
  readonly #inUse: Map<string, EndpointPorts<Holder>>;
  /** Starts at random: if several endpoints use the same port, the kernel's look-up takes longer. */
  #turn: number;

  /** @param inUse has this object while one of its ports is in use */
  constructor(endpoint: string, ports: readonly number[], inUse: Map<string, EndpointPorts<Holder>>) {
    this.#endpoint = endpoint;
    this.#ports = ports;
    this.#inUse = inUse;
    this.#turn = Math.floor(Math.random() * ports.length);
  }

  /** How many ports there are. */
  get size(): number {
    return this.#ports.length;
  }

  /** How many ports are in use. */
  get used(): number {
    return this.#holders.size;
  }

  /** The port whose turn it is. */
  next(): number {
    this.#turn = (this.#turn + 1) % this.#ports.length;
    return this.#ports[this.#turn];
  }

  /** The holder of a port, or undefined if the port is free. */
  holder(port: number): Holder | undefined {
    return this.#holders.get(port);
  }

  take(port: number, holder: Holder): void {
    this.#holders.set(port, holder);
    this.#inUse.set(this.#endpoint, this);
  }

  give(port: number): void {
    this.#holders.delete(port);
    if (this.#holders.size === 0) this.#inUse.delete(this.#endpoint);
  }
}
