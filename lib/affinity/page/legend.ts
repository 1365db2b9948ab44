import { element, type Markup } from '../../markup/markup.js';
import type { Looks } from './looks.js';

/** Which backend has which colour and letter. */
export function legend(looks: Looks): Markup {
  const hint = looks.repeat
    ? [element('li', { class: 'faint' }, 'Colours repeat: letters and tooltips tell backends apart.')]
    : [];
  const items = looks.backends.map((backend) => element('li', {}, looks.named(backend)));
  const silent = element('li', {}, element('b', { class: 'badge silent' }, '–'), ' no answer');
  return element('ul', { class: 'legend' }, ...items, silent, ...hint);
}
