// The frame around every page. Nothing inline: the content security policy allows this server's own files alone.
import { html, type Html } from './html.ts';

export interface PageParts {
  readonly title: string;
  readonly body: Html;
  /** Shows the way out, and whether the page is live. */
  readonly signedIn?: boolean;
}

/** A whole document. */
export function page({ title, body, signedIn = false }: PageParts): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Muster</title>
        <link rel="icon" href="/static/logo.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/static/style.css" />
        ${signedIn && html`<script src="/static/live.js" type="module"></script>`}
      </head>
      <body>
        <header class="top">
          <a class="brand" href="/"><img src="/static/logo.svg" alt="" width="26" height="26" />Muster</a>
          ${signedIn && topRight()}
        </header>
        ${body}
      </body>
    </html>`.markup;
}

function topRight(): Html {
  return html`<div class="top-right">
    <span class="live" id="live" role="status" hidden></span>
    <form method="post" action="/logout"><button class="quiet" type="submit">Log out</button></form>
  </div>`;
}
