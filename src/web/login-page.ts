// The door: asks for the admin token and says where it is.
import { html } from './html.ts';
import { page } from './page.ts';

export function loginPage(options: { readonly refused: boolean }): string {
  return page({
    title: 'Log in',
    body: html`<main class="narrow">
      <section class="card">
        <h1>Log in</h1>
        <form method="post" action="/login" class="login">
          <input type="text" name="username" value="admin" autocomplete="username" hidden />
          <label for="token">Admin token</label>
          <input
            id="token"
            name="token"
            type="password"
            autocomplete="current-password"
            spellcheck="false"
            required
            autofocus
            ${options.refused && html`aria-invalid="true"`}
            aria-describedby="${options.refused ? 'refused hint' : 'hint'}"
          />
          ${options.refused && html`<p class="refused" id="refused" role="alert">This is not the admin token.</p>`}
          <button type="submit">Log in</button>
        </form>
        <div class="hint" id="hint">
          <p>
            The token is one line in the file <code>admin-token</code> in Muster's data folder, on the server. Only its
            owner may read it:
          </p>
          <pre><code>sudo cat data/admin-token</code></pre>
          <p>The folder is elsewhere if the setting <code>dataDirectory</code> says so.</p>
        </div>
      </section>
    </main>`,
  });
}
