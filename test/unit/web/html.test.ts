import { describe, expect, it } from 'vitest';
import { html } from '../../../src/web/html.ts';

describe('html', () => {
  it('escapes what is put in, in text and in quoted attributes', () => {
    expect(html`<a title="${`"'<>&`}">${'<b>'}</a>`.markup).toBe('<a title="&quot;&#39;&lt;&gt;&amp;">&lt;b&gt;</a>');
  });

  it('keeps its own markup, joins lists, writes numbers, and leaves out what is undefined or false', () => {
    const items = ['<1>', '<2>'].map((item) => html`<b>${item}</b>`);
    expect(html`<p>${items}${0}${undefined}${false}</p>`.markup).toBe('<p><b>&lt;1&gt;</b><b>&lt;2&gt;</b>0</p>');
  });
});
