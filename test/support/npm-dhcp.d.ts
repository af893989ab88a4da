// The parts of the npm package `dhcp` (no types of its own) that serve as a second opinion on our codec.

declare module 'dhcp/lib/protocol.js' {
  interface NpmDhcpPacket {
    op: number;
    htype: number;
    hlen: number;
    hops: number;
    xid: number;
    secs: number;
    flags: number;
    ciaddr: string;
    yiaddr: string;
    siaddr: string;
    giaddr: string;
    chaddr: string;
    sname: string;
    file: string;
    options: Record<number, unknown>;
  }
  const protocol: {
    parse(buffer: Buffer): NpmDhcpPacket & { magicCookie: number };
    format(packet: NpmDhcpPacket): { readonly _data: Buffer; readonly _w: number };
  };
  export = protocol;
}

declare module 'dhcp/lib/options.js' {
  const options: { readonly opts: Record<number, { name: string; type: string }> };
  export = options;
}
