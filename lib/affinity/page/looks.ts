import { element, type Markup } from '../../markup/markup.js';

/** How a backend is drawn everywhere on the page. */
export interface Look {
  /** Tells it apart where colours repeat or cannot be seen. */
  readonly letter: string;
  /** CSS class of its colour. */
  readonly colour: string;
}

/**
 * Colours, and what can be read on them. They are those of Okabe and Ito, which colour-blind people can tell
 * apart (https://jfly.uni-koeln.de/color/), with grey instead of black.
 */
const COLOURS = [
  { colour: '#0072b2', text: '#ffffff' },
  { colour: '#e69f00', text: '#000000' },
  { colour: '#009e73', text: '#000000' },
  { colour: '#cc79a7', text: '#000000' },
  { colour: '#56b4e9', text: '#000000' },
  { colour: '#d55e00', text: '#000000' },
  { colour: '#f0e442', text: '#000000' },
  { colour: '#9aa3af', text: '#000000' },
] as const;

/** CSS of the colours, for elements of HTML and of SVG. */
export const COLOUR_STYLE = COLOURS.map(
  ({ colour, text }, index) => `.c${index} { fill: ${colour}; background: ${colour}; color: ${text}; }\n`,
).join('');

export class Looks {
  readonly backends: readonly string[];
  readonly #looks: ReadonlyMap<string, Look>;

  constructor(backends: readonly string[]) {
    this.backends = backends;
    this.#looks = new Map(backends.map((backend, index) => [backend, lookAt(index)]));
  }

  /** More backends than colours. */
  get repeat(): boolean {
    return this.backends.length > COLOURS.length;
  }

  of(backend: string): Look {
    return this.#looks.get(backend) ?? { letter: '?', colour: '' };
  }

  /** The letter of a backend on its colour. */
  badge(backend: string): Markup {
    const { letter, colour } = this.of(backend);
    return element('b', { class: `badge ${colour}`, title: backend }, letter);
  }

  /** Letter, colour and name. */
  named(backend: string): Markup {
    return element('span', { class: 'named' }, this.badge(backend), ' ', backend);
  }
}

function lookAt(index: number): Look {
  return { letter: letterAt(index), colour: `c${index % COLOURS.length}` };
}

/** A to Z, AA to AZ, BA and so on. */
function letterAt(index: number): string {
  const before = Math.floor(index / 26) - 1;
  return (before < 0 ? '' : letterAt(before)) + String.fromCharCode(65 + (index % 26));
}
