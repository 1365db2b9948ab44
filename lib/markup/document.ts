import { element, Markup } from './markup.js';

/** An HTML file that may load nothing and run no scripts. @param style CSS, which is not escaped */
export function htmlDocument(title: string, style: string, body: readonly Markup[]): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
${element('title', {}, title)}
${styleElement(style)}
${body.join('\n')}
</html>
`;
}

/** @param css is not escaped */
export function styleElement(css: string): Markup {
  return element('style', {}, new Markup(css));
}
