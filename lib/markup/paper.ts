/** CSS: the colours of paper, text and lines. They are dark if the reader's system is dark. */
export const PAPER = `
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2530; --faint: #667085; --line: #d9dee6; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161d; --ink: #e4e8ee; --faint: #97a1b0; --line: #2c3440; }
}
`;

/** CSS: the fonts of text. */
export const FONT = `system-ui, 'DejaVu Sans', sans-serif`;
