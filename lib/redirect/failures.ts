import { RedirectError, RedirectsRefused } from './driver.js';

/** What went wrong on the way: one family's trouble must not keep the other from being served. */
export class Failures {
  readonly #messages: string[] = [];
  readonly #ids = new Set<string>();
  #areRefusals = true;

  /** Runs a step that puts these redirects in place. */
  async attempt(ids: Iterable<string>, step: () => void | Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#messages.push((error as Error).message);
      this.#areRefusals &&= error instanceof RedirectsRefused;
      const isConcerned = (id: string) => !(error instanceof RedirectError) || error.concerns(id);
      for (const id of ids) if (isConcerned(id)) this.#ids.add(id);
    }
  }

  /** @throws RedirectError; {@link RedirectsRefused} where nothing else went wrong */
  throwIfAny(): void {
    if (this.#messages.length === 0) return;
    const Failure = this.#areRefusals ? RedirectsRefused : RedirectError;
    throw new Failure(this.#messages.join('; '), this.#ids);
  }
}
