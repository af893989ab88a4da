// The node:http(s) server under a listener, with a limit on everything that a client could draw out or pile up.
import { createServer as createPlainServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import type { Socket } from 'node:net';
import { createServer as createTlsServer, type ServerOptions as TlsServerOptions } from 'node:https';

/** `ca` is what client certificates must chain to: the machine CA alone. */
export type TlsFiles = Pick<TlsServerOptions, 'key' | 'cert' | 'ca' | 'ciphers' | 'honorCipherOrder'>;

const LIMITS: ServerOptions = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 15_000,
  // Not a limit on uploads: a squashfs root may take an hour. Small bodies have their own clock, see limit-body-time.ts.
  requestTimeout: 0,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 30_000,
};
const MAX_CONNECTIONS = 4_096;
/** A socket on which nothing moves for so long is closed. Live streams send a comment more often. */
const IDLE_SOCKET_MS = 120_000;

export function createHttpServer(listener: RequestListener, tls: TlsFiles | undefined): Server {
  const server =
    tls === undefined
      ? createPlainServer(LIMITS, listener)
      : createTlsServer(
          {
            ...LIMITS,
            ...tls,
            // Machines show a certificate, browsers and programs do not: routes decide who needs one.
            requestCert: true,
            rejectUnauthorized: false,
            minVersion: 'TLSv1.2',
            handshakeTimeout: 15_000,
          },
          listener,
        );
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = 0;
  server.setTimeout(IDLE_SOCKET_MS);
  return server;
}

const BAD_REQUESTS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/** Ends a connection on which something came that is not HTTP. Logs nothing: the bytes at hand may hold a path token. */
export function refuseBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.writable && error.code !== 'ECONNRESET') {
    const status = BAD_REQUESTS[error.code ?? ''] ?? '400 Bad Request';
    socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  }
  socket.destroy();
}
