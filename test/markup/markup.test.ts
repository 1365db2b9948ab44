import t from 'tap';
import { htmlDocument } from '../../lib/markup/document.js';
import { element, Markup } from '../../lib/markup/markup.js';

t.test('an element escapes its text and the values of its attributes', async (t) => {
  const made = element('p', { title: '"a" & b' }, '<script>', element('b', {}, '&amp;'));
  t.equal(String(made), '<p title="&#34;a&#34; &#38; b">&#60;script&#62;<b>&#38;amp;</b></p>');
});

t.test('markup stays as it is', async (t) => {
  t.equal(String(element('style', {}, new Markup('a > b { }'))), '<style>a > b { }</style>');
});

t.test('numbers in attributes have one decimal at most', async (t) => {
  t.equal(String(element('rect', { x: 1 / 3, y: 2 })), '<rect x="0.3" y="2"></rect>');
});

t.test('a document escapes its title, and has its style and its body, and may run nothing', async (t) => {
  const html = htmlDocument('<title>', 'a > b { }', [element('h1', {}, 'one'), element('p', {}, 'two')]);
  t.match(html, /^<!doctype html>\n<html lang="en">/);
  t.match(html, '<title>&#60;title&#62;</title>');
  t.match(html, '<style>a > b { }</style>');
  t.match(html, 'content-security-policy" content="default-src \'none\';');
  t.match(html, '<h1>one</h1>\n<p>two</p>');
});
