// What a person sees when the server is ready: what is served where, and what to do next. Pure.
import type { Settings } from '../settings/schema.ts';
import type { Style } from './style.ts';

/** Where the server listens, ports as they were bound. A protocol that is off is absent. */
export interface ServedAddresses {
  readonly interfaces: readonly { readonly name: string; readonly address: string }[];
  readonly dhcp?: { readonly port: number; readonly pxePort: number } | undefined;
  readonly tftp?: { readonly port: number } | undefined;
  readonly http: { readonly port: number };
  readonly api: { readonly port: number };
}

export interface BannerFacts {
  readonly version: string;
  readonly addresses: ServedAddresses;
  readonly settings: Pick<Settings, 'dataDirectory'>;
  readonly settingsFile: string | undefined;
  /** How a person calls the command line from where they are: `./muster`. */
  readonly command: string;
  readonly startedInMs: number;
}

export function formatBanner(facts: BannerFacts, style: Style): string {
  const { addresses } = facts;
  const row = (name: string, value: string, remark = '') =>
    `  ${style.faint(name.padEnd(13))}${value}${remark === '' ? '' : `  ${style.faint(remark)}`}`;
  const urls = (scheme: string, port: number) =>
    addresses.interfaces.map((one) => style.accent(`${scheme}://${one.address}:${port}`)).join('  ');
  const off = style.warn('off');
  const web = `https://${addresses.interfaces[0]?.address ?? '127.0.0.1'}:${addresses.api.port}`;
  const tokenFile = `${facts.settings.dataDirectory}/admin-token`;
  return [
    '',
    `  ${style.strong(`Muster ${facts.version}`)} is ready ${style.faint(`(${(facts.startedInMs / 1000).toFixed(1)} s)`)}`,
    '',
    row('Networks', addresses.interfaces.map((one) => `${one.name} ${one.address}`).join(', ')),
    addresses.dhcp === undefined
      ? row('DHCP proxy', off, 'your DHCP server must point machines here')
      : row('DHCP proxy', `udp ${addresses.dhcp.port}, ${addresses.dhcp.pxePort}`, 'beside the DHCP server you have'),
    addresses.tftp === undefined ? row('TFTP', off) : row('TFTP', `udp ${addresses.tftp.port}`),
    row('Boot files', urls('http', addresses.http.port)),
    row('Web and API', urls('https', addresses.api.port)),
    '',
    row('Settings', facts.settingsFile ?? 'defaults', facts.settingsFile === undefined ? '(no file)' : ''),
    row('Data', facts.settings.dataDirectory),
    row('Admin token', tokenFile),
    '',
    `  ${style.strong('Next')}`,
    `    1. Add an image:  ${facts.command} images import NAME kernel=FILE initrd=FILE squashfs=FILE`,
    `    2. Boot a machine from the network, and watch:  ${facts.command} events --follow`,
    `    3. Let it in:  ${facts.command} machines list, then ${facts.command} machines approve MAC`,
    `    Or in the browser: ${style.accent(web)} with the admin token. ${style.faint('Ctrl+C stops Muster.')}`,
    '',
    '',
  ].join('\n');
}
