// The few C library calls that Node does not offer and that need no code of our own: sockets tied to one interface
// (SO_BINDTODEVICE) and UDP segmentation (UDP_SEGMENT). Linux only; elsewhere `libc` is undefined and callers do without.
import { constants } from 'node:os';
import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import koffi from 'koffi';

interface NativeSocketOptions {
  readonly address: string;
  readonly port: number;
  readonly interfaceName?: string | undefined;
  readonly broadcast: boolean;
  readonly reuseAddress: boolean;
}

export interface Libc {
  /** socket(2), socket options, bind(2). Returns a file descriptor that the caller owns; throws SystemCallError. */
  bindUdpSocket(options: NativeSocketOptions): number;
  /** Sets UDP_SEGMENT (udp(7), Linux 4.18): 0 turns it off. False where the kernel refuses. */
  setSegmentSize(fd: number, bytes: number): boolean;
}

/** A system call failed; `code` is the name of the errno. */
export class SystemCallError extends Error {
  readonly code: string;

  constructor(call: string, code: string) {
    super(`${call} failed with ${code}`);
    this.name = 'SystemCallError';
    this.code = code;
  }
}

// Values of the Linux ABI, the same on every architecture that Node runs on except MIPS.
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BROADCAST = 6;
const SO_BINDTODEVICE = 25;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

export const libc: Libc | undefined = openLibc();

function openLibc(): Libc | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    // The running program already links the C library, glibc or musl, so there is no file name to know.
    return bindings(koffi.load(null));
  } catch {
    return undefined;
  }
}

function bindings(library: ReturnType<typeof koffi.load>): Libc {
  const socket = library.func('int socket(int domain, int type, int protocol)');
  const bind = library.func('int bind(int fd, _In_ uint8_t *address, uint32_t length)');
  const setsockopt = library.func('int setsockopt(int fd, int level, int name, _In_ uint8_t *value, uint32_t length)');
  const close = library.func('int close(int fd)');
  const interfaceIndex = library.func('uint32_t if_nametoindex(const char *name)');

  const setOption = (fd: number, level: number, name: number, value: Uint8Array): void => {
    check('setsockopt', setsockopt(fd, level, name, value, value.length));
  };
  const prepare = (fd: number, options: NativeSocketOptions): void => {
    if (options.reuseAddress) setOption(fd, SOL_SOCKET, SO_REUSEADDR, int32(1));
    if (options.broadcast) setOption(fd, SOL_SOCKET, SO_BROADCAST, int32(1));
    if (isIPv6(options.address)) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, int32(1));
    // Before bind(2): the port is then ours on this interface only, and another program may have it on the others.
    if (options.interfaceName !== undefined) {
      setOption(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${options.interfaceName}\0`));
    }
    const address = socketAddress(options.address, options.port, (name) => Number(interfaceIndex(name)));
    check('bind', bind(fd, address, address.length));
  };

  return {
    bindUdpSocket(options) {
      const family = isIPv6(options.address) ? AF_INET6 : AF_INET;
      const fd = check('socket', socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      try {
        prepare(fd, options);
      } catch (error) {
        close(fd);
        throw error;
      }
      return fd;
    },
    setSegmentSize: (fd, bytes) => Number(setsockopt(fd, SOL_UDP, UDP_SEGMENT, int32(bytes), 4)) === 0,
  };
}

function check(call: string, result: unknown): number {
  if (typeof result === 'number' && result >= 0) return result;
  const errno = koffi.errno();
  const name = Object.entries(constants.errno).find(([, value]) => value === errno)?.[0];
  throw new SystemCallError(call, name ?? `errno ${errno}`);
}

function int32(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** struct sockaddr_in (ip(7)) or sockaddr_in6 (ipv6(7)); a zone (`fe80::1%eth0`) becomes the scope id. */
function socketAddress(address: string, port: number, indexOf: (interfaceName: string) => number): Uint8Array {
  const [host = '', zone] = address.split('%');
  const family = isIPv6(address) ? AF_INET6 : AF_INET;
  const bytes = new Uint8Array(family === AF_INET6 ? 28 : 16);
  new Uint16Array(bytes.buffer, 0, 1).set([family]);
  new DataView(bytes.buffer).setUint16(2, port);
  if (family === AF_INET) {
    bytes.set(host.split('.').map(Number), 4);
  } else {
    bytes.set(ipv6Bytes(host), 8);
    if (zone !== undefined) new Uint32Array(bytes.buffer, 24, 1).set([indexOf(zone)]);
  }
  return bytes;
}

function ipv6Bytes(host: string): Uint8Array {
  return Uint8Array.from(ipaddr.IPv6.parse(host).toByteArray());
}
