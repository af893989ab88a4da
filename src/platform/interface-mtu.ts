// How long a packet may be on an interface: what TFTP's block size has to stay under.
import { readFile } from 'node:fs/promises';

const ETHERNET_MTU = 1500;

/** MTU of an interface; that of Ethernet where the system does not tell. */
export async function readInterfaceMtu(interfaceName: string): Promise<number> {
  const text = await readFile(`/sys/class/net/${interfaceName}/mtu`, 'utf8').catch(() => '');
  return /^[0-9]+\n$/.test(text) ? Number(text) : ETHERNET_MTU;
}
