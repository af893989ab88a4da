// The real server beside a real dnsmasq, in namespaces: captured packets of real firmware go in, and what comes out on the
// wire is looked at; then every file that an answer names is fetched by the clients that firmware has.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePacket, encodePacket, type DhcpPacket } from '../../src/protocol/dhcp/packet.ts';
import { MessageType, OptionCode } from '../../src/protocol/dhcp/option-codes.ts';
import { LabNetwork, SERVER_ADDRESS } from '../../vm-lab/lab-network.ts';
import { MusterProcess } from '../../vm-lab/muster-process.ts';
import { RunFolder, sweepStaleRuns } from '../../vm-lab/run-folder.ts';
import { aDiscover, firmwareOptions } from '../support/boot-builders.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const needed = ['ip', 'dnsmasq', 'curl', 'atftp'];
const missing = [
  ...(process.getuid?.() === 0 ? [] : ['root']),
  ...needed.filter((program) => spawnSync('which', [program]).status !== 0),
];

interface Heard {
  readonly from: string;
  readonly port: number;
  readonly packet: string;
}

describe.skipIf(missing.length > 0)(
  `the server on the wire${missing.length > 0 ? ` (needs ${missing.join(', ')})` : ''}`,
  () => {
    let run: RunFolder;
    let network: LabNetwork;
    let muster: MusterProcess;
    let ask: (port: number, to: string, packet: DhcpPacket) => Promise<readonly Heard[]>;
    let stopClient: () => void;

    beforeAll(async () => {
      await sweepStaleRuns();
      run = RunFolder.create();
      network = await LabNetwork.create(run);
      spawnSync('ip', ['-n', network.namespace('lan'), 'address', 'add', '10.77.0.50/24', 'dev', 'br0']);
      muster = await MusterProcess.start(network, {
        profilesDirectory: resolve(ROOT, 'config/profiles'),
        cloudConfigDirectory: resolve(ROOT, 'config/cloud-config'),
        unknownMachines: 'discover',
      });
      ({ ask, stop: stopClient } = startClient(network));
    }, 60_000);

    afterAll(async () => {
      stopClient();
      await muster.stop();
      await run.close();
    });

    const inMachine = (...command: string[]) => {
      const [program, ...words] = network.enter('lan');
      return spawnSync(program, [...words, ...command], { maxBuffer: 8 * 1024 * 1024 });
    };
    const musterSays = (...words: string[]): string => {
      const { command, environment } = muster.commandLine;
      const [program, ...rest] = network.enter('srv');
      const env = { ...process.env, ...environment };
      return spawnSync(program, [...rest, ...command, ...words], { cwd: ROOT, env, encoding: 'utf8' }).stdout;
    };
    const broadcast = (packet: DhcpPacket) => ask(67, '255.255.255.255', packet);
    const ours = (heard: readonly Heard[]) =>
      heard.filter(({ from }) => from === SERVER_ADDRESS).map(({ packet }) => decodePacket(Buffer.from(packet, 'hex')));

    it('adds one OFFER beside the lease of the other server, for BIOS, UEFI PXE and UEFI HTTP Boot', async () => {
      for (const [architecture, vendorClass, file] of [
        [0, 'PXEClient', /^b-[0-9a-f]+\/undionly\.kpxe$/],
        [7, 'PXEClient', /^b-[0-9a-f]+\/snponly\.efi$/],
        [16, 'HTTPClient', /^http:\/\/10\.77\.0\.3:8080\/boot\/[\w-]{22}\/ipxe\.efi$/],
      ] as const) {
        const heard = await broadcast(
          aDiscover(firmwareOptions(architecture, vendorClass), { chaddr: Uint8Array.of(2, 0, 0, 0, 0, architecture) }),
        );
        const answers = ours(heard);
        expect(answers).toHaveLength(1);
        expect(heard.length).toBeGreaterThan(1);
        expect(answers[0]).toMatchObject({
          yiaddr: '0.0.0.0',
          siaddr: SERVER_ADDRESS,
          file: expect.stringMatching(file),
        });
        expect(Buffer.from(answers[0]?.options.get(OptionCode.VendorClass) ?? []).toString()).toBe(vendorClass);
      }
    });

    it('is silent to an operating system that wants a lease, which the other server still answers', async () => {
      const plain = firmwareOptions(7).map(([code]) => [code, undefined] as const);
      const heard = await broadcast(aDiscover([...plain, [OptionCode.ClientMachineIdentifier, undefined]]));
      expect(ours(heard)).toEqual([]);
      expect(heard.length).toBeGreaterThan(0);
    });

    it('says "no loader" for an architecture that it has no loader for, and gives it none of another', async () => {
      expect(ours(await broadcast(aDiscover(firmwareOptions(27))))).toEqual([]);
      expect(musterSays('events', '--kind', 'dhcp-no-loader')).toContain('no loader for arch 27');
    });

    it('answers on 4011 by unicast to the port that asked (PXE 2.1; EDK2 PxeBcDhcp4.c)', async () => {
      const asRequest = [OptionCode.MessageType, Uint8Array.of(MessageType.Request)] as const;
      const request = aDiscover([...firmwareOptions(7), asRequest], { ciaddr: '10.77.0.50' });
      const [answer, ...others] = ours(await ask(4011, SERVER_ADDRESS, request));
      expect(others).toEqual([]);
      expect(answer?.options.get(OptionCode.MessageType)).toEqual(Uint8Array.of(MessageType.Ack));
      expect(answer?.file).toMatch(/snponly\.efi$/);
    });

    it('serves every loader that an answer names, byte for byte, by TFTP and by HTTP', async () => {
      const [offer] = ours(await broadcast(aDiscover(firmwareOptions(7))));
      const tftp = inMachine('curl', '--silent', '--show-error', `tftp://${SERVER_ADDRESS}/${offer?.file ?? ''}`);
      expect(sha256(tftp.stdout)).toBe(sha256(readFileSync('/usr/lib/ipxe/snponly.efi')));
      const [http] = ours(await broadcast(aDiscover(firmwareOptions(16, 'HTTPClient'))));
      const got = inMachine('curl', '--silent', '--fail', http?.file ?? '');
      expect(sha256(got.stdout)).toBe(sha256(readFileSync('/usr/lib/ipxe/ipxe.efi')));
      const head = inMachine('curl', '--silent', '--head', http?.file ?? '').stdout.toString();
      expect(head).toMatch(/^content-type: application\/efi\r$/im);
    });

    it('gives iPXE a script that asks it to wait until the machine is approved', async () => {
      const ipxe = [...firmwareOptions(7), [OptionCode.UserClass, Buffer.from('iPXE')] as const];
      const chaddr = Uint8Array.of(2, 0, 0, 0, 1, 1);
      const [offer] = ours(await broadcast(aDiscover(ipxe, { chaddr })));
      const url = Buffer.from(offer?.options.get(OptionCode.BootFileName) ?? []).toString();
      expect(url).toMatch(/\/boot\.ipxe$/);
      const script = inMachine('curl', '--silent', '--fail', url).stdout.toString();
      expect(script).toMatch(/^#!ipxe\n[^]*waits for approval/);
      expect(script).toContain('muster machines approve 02:00:00:00:01:01');
    });

    it('sends no secret path token to the record', () => {
      const database = readFileSync(resolve(muster.dataDirectory, 'muster.db'));
      expect(database.includes('/boot/')).toBe(false);
    });
  },
);

function startClient(network: LabNetwork) {
  const [program, ...words] = network.enter('lan');
  const child = spawn(program, [...words, process.execPath, resolve(import.meta.dirname, 'wire-client.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async (port: number, to: string, packet: DhcpPacket): Promise<readonly Heard[]> => {
      child.stdin.write(`${JSON.stringify({ port, to, packet: Buffer.from(encodePacket(packet)).toString('hex') })}\n`);
      const { value } = (await lines.next()) as { value: string };
      return JSON.parse(value) as readonly Heard[];
    },
    stop: () => {
      child.stdin.end();
    },
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
