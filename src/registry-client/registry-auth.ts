// Proves to a registry who asks: Basic, or the token dance (distribution's "Token Authentication Specification"). Holds the
// credentials, and gives them to the registry and to the token service that it names, never to anybody else.
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Challenge } from './challenge.ts';
import { RegistryError } from './registry-error.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Fetches the token service's answer. */
export type FetchToken = (url: URL, authorization: string | undefined) => Promise<{ status: number; text: string }>;

const tokenAnswer = z.object({
  token: z.string().min(1).optional(),
  access_token: z.string().min(1).optional(),
  expires_in: z.number().optional(),
});

/** "If omitted, this defaults to 60 seconds"; a token is given up a little before its end. */
const STANDARD_TOKEN_SECONDS = 60;
const MARGIN_MS = 10_000;
const MAX_TOKENS = 1000;

export class RegistryAuth {
  readonly #registry: URL;
  readonly #credentials: Credentials | undefined;
  readonly #clock: Clock;
  readonly #fetchToken: FetchToken;
  readonly #tokens = new Map<string, { readonly token: string; readonly until: number }>();
  #isBasic = false;

  constructor(parts: {
    readonly registry: URL;
    readonly credentials: Credentials | undefined;
    readonly clock: Clock;
    readonly fetchToken: FetchToken;
  }) {
    this.#registry = parts.registry;
    this.#credentials = parts.credentials;
    this.#clock = parts.clock;
    this.#fetchToken = parts.fetchToken;
  }

  /** What to send with a request that needs these scopes, as far as is known. */
  header(scopes: readonly string[]): string | undefined {
    if (this.#isBasic) return this.#basic();
    const known = this.#tokens.get(scopes.join(' '));
    return known !== undefined && known.until > this.#clock.now() ? `Bearer ${known.token}` : undefined;
  }

  /** Takes up what a 401 asks for; false where there is nothing more to show. */
  async answer(challenges: readonly Challenge[], scopes: readonly string[]): Promise<boolean> {
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer?.parameters.realm !== undefined) {
      await this.#takeToken(bearer.parameters.realm, bearer.parameters, scopes);
      return true;
    }
    if (this.#isBasic || this.#credentials === undefined || !challenges.some(({ scheme }) => scheme === 'basic'))
      return false;
    this.#isBasic = true;
    return true;
  }

  async #takeToken(
    realm: string,
    parameters: Readonly<Record<string, string>>,
    scopes: readonly string[],
  ): Promise<void> {
    const url = this.#realmUrl(realm);
    if (parameters.service !== undefined) url.searchParams.append('service', parameters.service);
    const wanted = scopes.length > 0 ? scopes : (parameters.scope?.split(' ') ?? []);
    for (const scope of wanted) url.searchParams.append('scope', scope);
    const { status, text } = await this.#fetchToken(url, this.#basic());
    if (status === 401 || status === 403)
      throw new RegistryError('unauthorised', `${url.host} gives no token: the user name or the password is wrong.`);
    const parsed = status === 200 ? tokenAnswer.safeParse(parseJson(text)) : undefined;
    const token = parsed?.data?.token ?? parsed?.data?.access_token;
    if (token === undefined || /[^\x21-\x7e]/.test(token))
      throw new RegistryError('invalid-answer', `${url.host} was asked for a token and gave none (status ${status}).`);
    const seconds = parsed?.data?.expires_in ?? STANDARD_TOKEN_SECONDS;
    if (this.#tokens.size >= MAX_TOKENS) this.#tokens.clear();
    this.#tokens.set(scopes.join(' '), { token, until: this.#clock.now() + seconds * 1000 - MARGIN_MS });
  }

  #realmUrl(realm: string): URL {
    const url = URL.parse(realm);
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new RegistryError('invalid-answer', `${this.#registry.host} names ${JSON.stringify(realm)} for tokens.`);
    if (this.#registry.protocol === 'https:' && url.protocol !== 'https:')
      throw new RegistryError('refused', `${this.#registry.host} wants the password sent unprotected to ${url.host}.`);
    return url;
  }

  #basic(): string | undefined {
    if (this.#credentials === undefined) return undefined;
    const { username, password } = this.#credentials;
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
