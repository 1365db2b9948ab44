/** Of the node's local ports this share is left to its other programs. */
const NODE_SHARE = 0.25;

/**
 * The local ports of one worker's UDP sockets. A port is only used up per endpoint: two sockets may have the
 * same one as long as they are connected to different addresses or ports, so that flows to one endpoint never
 * take ports away from another, and some ports of the range are never touched.
 *
 * @typeParam Holder who has a port
 */
export class LocalPorts<Holder> {
  readonly #ports: readonly number[];
  readonly #endpoints = new Map<string, EndpointPorts<Holder>>();

  /** @param ports the node's local ports (lib/sys/portrange.ts); each worker has its own of them */
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
 * The local ports towards one endpoint, which are handed out in turn: the next one is that of the oldest
 * socket.
 */
export class EndpointPorts<Holder> {
  readonly #holders = new Map<number, Holder>();
  readonly #endpoint: string;
  readonly #ports: readonly number[];
  readonly #inUse: Map<string, EndpointPorts<Holder>>;
  /** Begins anywhere: ports that several endpoints use cost the kernel a longer look-up. */
  #turn: number;

  /** @param inUse where it is to be found as long as one of its ports is in use */
  constructor(endpoint: string, ports: readonly number[], inUse: Map<string, EndpointPorts<Holder>>) {
    this.#endpoint = endpoint;
    this.#ports = ports;
    this.#inUse = inUse;
    this.#turn = Math.floor(Math.random() * ports.length);
  }

  /** How many there are. */
  get size(): number {
    return this.#ports.length;
  }

  /** How many are in use. */
  get used(): number {
    return this.#holders.size;
  }

  /** The port whose turn it is. */
  next(): number {
    this.#turn = (this.#turn + 1) % this.#ports.length;
    return this.#ports[this.#turn];
  }

  /** Who has a port now. */
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
