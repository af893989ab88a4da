// The boot loaders in the store and where they came from, for administrators.
import type { LoaderRecord } from '../../images/loaders/loaders.ts';
import type { HttpApp } from '../http-app.ts';

export interface LoaderRouteParts {
  readonly loaders: { list(): Promise<readonly LoaderRecord[]> };
}

export function loaderRoutes(app: HttpApp, { loaders }: LoaderRouteParts): void {
  app.get('/loaders', async () => {
    const all = await loaders.list();
    return { loaders: all.map(({ digest, ...loader }) => ({ ...loader, sha256: digest.replace('sha256:', '') })) };
  });
}
