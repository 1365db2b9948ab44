/** An endpoint of a Service with affinity, over all portals of the Service. Pins name it. */
export class ServiceEndpoint {
  /** How many of this worker's portals have it. 0: it is gone, and its pins move when they are used. */
  portals = 0;
  /** How many pins to it this worker has. */
  pins = 0;
  /** The cell that counts its pins in all workers. Null while it is gone. */
  cell: number | null = null;

  constructor(
    readonly service: string,
    /** See Endpoint.id. */
    readonly id: string,
  ) {}
}

/** The endpoints of all Services with affinity, and how many pins each of them has. */
export class ServiceEndpoints {
  readonly #endpoints = new Map<string, ServiceEndpoint>();
  readonly #cells: Int32Array;

  /** @param cells see pincells.ts */
  constructor(cells: Int32Array) {
    this.#cells = cells;
  }

  /** The endpoint with this id. It may be gone, or not be there yet. */
  of(service: string, id: string): ServiceEndpoint {
    const key = keyOf(service, id);
    let endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) {
      endpoint = new ServiceEndpoint(service, id);
      this.#endpoints.set(key, endpoint);
    }
    return endpoint;
  }

  /** A portal has this endpoint now. @param cell null if no cell is left: then its pins are not counted */
  add(service: string, id: string, cell: number | null): ServiceEndpoint {
    const endpoint = this.of(service, id);
    endpoint.portals++;
    if (endpoint.cell === null && cell !== null) {
      endpoint.cell = cell;
      Atomics.add(this.#cells, cell, endpoint.pins);
    }
    return endpoint;
  }

  /** A portal no longer has the endpoint. */
  remove(endpoint: ServiceEndpoint): void {
    if (--endpoint.portals > 0) return;
    if (endpoint.cell !== null) Atomics.sub(this.#cells, endpoint.cell, endpoint.pins);
    endpoint.cell = null;
    this.#forgetIfUnused(endpoint);
  }

  addPin(endpoint: ServiceEndpoint): void {
    endpoint.pins++;
    if (endpoint.cell !== null) Atomics.add(this.#cells, endpoint.cell, 1);
  }

  removePin(endpoint: ServiceEndpoint): void {
    endpoint.pins--;
    if (endpoint.cell !== null) Atomics.sub(this.#cells, endpoint.cell, 1);
    this.#forgetIfUnused(endpoint);
  }

  /** How many pins the endpoint has in all workers. */
  pinsOf({ cell, pins }: ServiceEndpoint): number {
    return cell === null ? pins : Atomics.load(this.#cells, cell);
  }

  /**
   * Adds a pin, unless another worker has changed the count meanwhile.
   * @param count what {@link pinsOf} returned
   */
  tryAddPin(endpoint: ServiceEndpoint, count: number): boolean {
    const { cell } = endpoint;
    if (cell !== null && Atomics.compareExchange(this.#cells, cell, count, count + 1) !== count) return false;
    endpoint.pins++;
    return true;
  }

  #forgetIfUnused({ service, id, portals, pins }: ServiceEndpoint): void {
    if (portals === 0 && pins === 0) this.#endpoints.delete(keyOf(service, id));
  }
}

/** Kubernetes names contain no spaces. */
function keyOf(service: string, id: string): string {
  return `${service} ${id}`;
}
