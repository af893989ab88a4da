// The API as a program uses it: the admin token and the CA from the data folder.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';

export function createApiClient(url: string, dataDirectory: string) {
  const dispatcher = new Agent({ connect: { ca: readFileSync(join(dataDirectory, 'ca.pem')) } });
  const token = readFileSync(join(dataDirectory, 'admin-token'), 'utf8').trim();
  async function send<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
    const answer = await request(`${url}${path}`, {
      method,
      dispatcher,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return JSON.parse(text) as T;
  }
  return {
    get: <T>(path: string) => send<T>('GET', path),
    post: <T>(path: string, body: object) => send<T>('POST', path, body),
  };
}
