/** A word may be another one if at most this share of its letters must be changed. */
const MOST_CHANGED = 0.5;

/** The word that a misspelt one was meant to be. Null if none is like it. */
export function nearest(misspelt: string, words: readonly string[]): string | null {
  let best: string | null = null;
  let least = MOST_CHANGED * misspelt.length;
  for (const word of words) {
    // Longer texts need not be compared letter by letter, however long they are.
    if (Math.abs(word.length - misspelt.length) > least) continue;
    const changes = changesBetween(misspelt, word);
    if (changes > least) continue;
    best = word;
    least = changes;
  }
  return best;
}

/** How many letters have to be inserted, removed or replaced (Levenshtein's distance). */
function changesBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [index, letter] of [...from].entries()) {
    const above = row;
    row = [index + 1];
    for (let column = 1; column <= to.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (letter === to[column - 1] ? 0 : 1);
      row.push(Math.min(replaced, (above[column] ?? 0) + 1, (row[column - 1] ?? 0) + 1));
    }
  }
  return row.at(-1) ?? 0;
}
