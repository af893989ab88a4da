// Binds a listener, and says who is in the way where that fails.
import { AppError } from '../errors.ts';
import { findPortHolder } from '../platform/port-holder.ts';
import type { HttpApp } from './http-app.ts';

/** Listens on all addresses; returns the port, which is the kernel's choice for 0. */
export async function listen(app: HttpApp, port: number, scheme: 'http' | 'https'): Promise<number> {
  try {
    // fastify does not know that our server factory speaks TLS.
    const listenTextResolver = (address: string): string => `listening at ${address.replace(/^https?/, scheme)}`;
    await app.listen({ port, host: '0.0.0.0', listenTextResolver });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    if (error.code === 'EADDRINUSE') {
      const holder = await findPortHolder('tcp', port);
      const by = holder === undefined ? 'another program' : `${holder.command} (pid ${holder.pid})`;
      throw new AppError('port-taken', `TCP port ${port} is held by ${by}: stop it or choose another port`, {
        cause: error,
      });
    }
    if (error.code === 'EACCES')
      throw new AppError(
        'permission-denied',
        `TCP port ${port} may not be opened: choose one above 1023 or run as root`,
        {
          cause: error,
        },
      );
    throw error;
  }
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
