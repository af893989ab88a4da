// The page for people who met a failure.
import { html } from './html.ts';
import { page } from './page.ts';

export function errorPage(status: number, message: string): string {
  const title = TITLES[status] ?? 'That did not work';
  return page({
    title,
    body: html`<main class="narrow">
      <section class="card">
        <h1>${title}</h1>
        <p>${message}</p>
        <p><a href="/">Back to the fleet</a></p>
      </section>
    </main>`,
  });
}

const TITLES: Readonly<Record<number, string>> = {
  401: 'Please log in',
  404: 'Not here',
  429: 'A moment, please',
  503: 'Muster is not ready',
};
