/** How far the driver is with the redirect of one portal. */
export class RedirectProgress {
  /**
   * - `missing`: the driver has no redirect, or was told to remove it.
   * - `outdated`: the driver has another version than the portal wants.
   * - `refused`: the driver could not put the wanted version in place.
   * - `inPlace`: the driver has put the wanted version in place.
   */
  #state: 'missing' | 'outdated' | 'refused' | 'inPlace' = 'missing';
  /** Number of the version that the portal wants. The driver may have an earlier one. */
  #version = 0;

  get isInPlace(): boolean {
    return this.#state === 'inPlace';
  }

  get isOutdated(): boolean {
    return this.#state === 'outdated';
  }

  /** Number of the wanted version, for {@link finish}. */
  get version(): number {
    return this.#version;
  }

  /** The portal wants a new version. */
  outdate(): void {
    this.#version++;
    if (this.#state !== 'missing') this.#state = 'outdated';
  }

  /** The driver is told to remove the redirect. An earlier version that it still works on does not count. */
  remove(): void {
    this.#version++;
    this.#state = 'missing';
  }

  /** The driver has failed to remove the redirect, and may still have a version that is not wanted. */
  removalFailed(): void {
    if (this.#state === 'missing') this.#state = 'outdated';
  }

  /**
   * The driver has put a version in place, or refused it. Does nothing if the portal wants another version
   * now.
   */
  finish(version: number, isRefused: boolean): void {
    if (version === this.#version) this.#state = isRefused ? 'refused' : 'inPlace';
  }

  /** An audit has put in place what the driver refused before. */
  repair(): void {
    if (this.#state === 'refused') this.#state = 'inPlace';
  }
}
