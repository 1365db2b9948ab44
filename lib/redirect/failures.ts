import { RedirectError, RedirectsRefused } from './driver.js';

/** Collects the errors of several steps, so that an error of one IP family does not stop the other. */
export class Failures {
  readonly #messages: string[] = [];
  readonly #ids = new Set<string>();
  #areRefusals = true;

  /** Runs a step that puts these redirects in place, and keeps its error. */
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

  /** @throws RedirectError if a step failed; {@link RedirectsRefused} if all errors are refusals */
  throwIfAny(): void {
    if (this.#messages.length === 0) return;
    const Failure = this.#areRefusals ? RedirectsRefused : RedirectError;
    throw new Failure(this.#messages.join('; '), this.#ids);
  }
}
