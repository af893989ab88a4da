// Makes the web page of a kept run reachable from the computer's own browser. The namespaces have no way out, so two small
// processes pass the bytes on through a socket file, which no network namespace bounds. Run as a script it is one of them.
import { createConnection, createServer, type AddressInfo, type NetConnectOpts } from 'node:net';
import { SERVER_ADDRESS, type LabNetwork } from './lab-network.ts';

const API_PORT = 8443;
const PREFERRED_PORT = 9443;

/** Answers the URL under which the page can be seen. */
export async function startPageForwarder(network: LabNetwork): Promise<string> {
  const socketFile = network.run.file('page.socket');
  const port = await freePort(PREFERRED_PORT);
  const forward = (name: string, role: 'srv' | 'host', from: string, to: string): void => {
    network.start({ name, role, command: [process.execPath, import.meta.filename, from, to] });
  };
  forward('page-inside', 'srv', socketFile, `${SERVER_ADDRESS}:${API_PORT}`);
  forward('page-outside', 'host', `127.0.0.1:${port}`, socketFile);
  return `https://127.0.0.1:${port}/`;
}

/** The port itself if nobody has it, else one that is free. */
async function freePort(port: number): Promise<number> {
  const probe = createServer();
  const bound = await new Promise<boolean>((resolve) => {
    probe.once('error', () => {
      resolve(false);
    });
    probe.listen(port, '127.0.0.1', () => {
      resolve(true);
    });
  });
  if (!bound) return freePort(0);
  const { port: found } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return found;
}

/** `/a/path` or `host:port`. */
function endOf(text: string): NetConnectOpts {
  if (text.startsWith('/')) return { path: text };
  const [host = '', port] = text.split(':');
  return { host, port: Number(port) };
}

function forwardConnections(from: string, to: string): void {
  createServer((near) => {
    const far = createConnection(endOf(to));
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
  }).listen(endOf(from));
}

if (process.argv[1] === import.meta.filename) forwardConnections(process.argv[2] ?? '', process.argv[3] ?? '');
