/** The endpoint ids of each Service, over all its portals. A pin to an id that is not here is void. */
export class ServiceEndpoints {
  /** How many portals have an endpoint, by Service and id. One map: most Services have one portal. */
  readonly #counts = new Map<string, number>();

  add(service: string, ids: Iterable<string>): void {
    for (const id of ids) {
      const key = keyOf(service, id);
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    }
  }

  remove(service: string, ids: Iterable<string>): void {
    for (const id of ids) {
      const key = keyOf(service, id);
      const left = (this.#counts.get(key) ?? 0) - 1;
      if (left > 0) this.#counts.set(key, left);
      else this.#counts.delete(key);
    }
  }

  has(service: string, id: string): boolean {
    return this.#counts.has(keyOf(service, id));
  }
}

/** Kubernetes names contain no spaces. */
function keyOf(service: string, id: string): string {
  return `${service} ${id}`;
}
