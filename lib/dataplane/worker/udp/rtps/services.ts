import { AskingTimes } from './askingtimes.js';
import { Owners } from './owners.js';

/** What is known of the participants of one Service, over all its portals. */
export class RtpsService {
  readonly owners = new Owners();
  readonly askingTimes = new AskingTimes();
}

/** The Services of one worker that route by participant, each for as long as one of its portals needs it. */
export class RtpsServices {
  readonly #entries = new Map<string, { readonly service: RtpsService; users: number }>();

  open(name: string): RtpsService {
    const entry = this.#entries.get(name) ?? { service: new RtpsService(), users: 0 };
    this.#entries.set(name, entry);
    entry.users++;
    return entry.service;
  }

  /** Once for each {@link open}. */
  close(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined && --entry.users === 0) this.#entries.delete(name);
  }
}
