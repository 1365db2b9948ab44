/** Two words are alike if at most this share of the letters differs. */
const MAX_CHANGED_SHARE = 0.5;

/** The word that is most like the misspelt one. Null if none is alike. */
export function nearest(misspelt: string, words: readonly string[]): string | null {
  let best: string | null = null;
  let least = MAX_CHANGED_SHARE * misspelt.length;
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

/** The number of letters to insert, remove or replace (Levenshtein distance). */
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
