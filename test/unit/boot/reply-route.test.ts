import { describe, expect, it } from 'vitest';
import { replyRoute } from '../../../src/boot/reply-route.ts';
import { aDiscover } from '../../support/boot-builders.ts';

const NOWHERE = { address: '0.0.0.0', port: 68 };

describe('replyRoute on 67', () => {
  it('broadcasts to port 68 when the client has no address, as we give it none (RFC 2131 §4.1)', () => {
    const route = { to: { address: '255.255.255.255', port: 68 }, fromPort: 67, broadcast: true };
    expect(replyRoute(aDiscover(), NOWHERE, 67)).toEqual(route);
    expect(replyRoute(aDiscover([], { flags: 0 }), NOWHERE, 67)).toEqual(route);
  });

  it('goes to the relay’s server port, whatever address the packet came from (RFC 2131 §4.1)', () => {
    const relayed = aDiscover([], { giaddr: '198.51.100.1', ciaddr: '198.51.100.7' });
    expect(replyRoute(relayed, { address: '203.0.113.9', port: 67 }, 67)).toEqual({
      to: { address: '198.51.100.1', port: 67 },
      fromPort: 67,
      broadcast: false,
    });
  });

  it('goes to a client that has an address (RFC 2131 §4.1, ciaddr)', () => {
    const informing = aDiscover([], { ciaddr: '192.0.2.77' });
    expect(replyRoute(informing, NOWHERE, 67).to).toEqual({ address: '192.0.2.77', port: 68 });
  });
});

describe('replyRoute on 4011', () => {
  it.each([4011, 68])('goes back to source port %i: EDK2 asks from 4011, iPXE from 68', (port) => {
    const asking = aDiscover([], { ciaddr: '192.0.2.77', giaddr: '198.51.100.1' });
    expect(replyRoute(asking, { address: '192.0.2.77', port }, 4011)).toEqual({
      to: { address: '192.0.2.77', port },
      fromPort: 4011,
      broadcast: false,
    });
  });

  it('broadcasts when the source has no address yet', () => {
    expect(replyRoute(aDiscover(), NOWHERE, 4011)).toEqual({
      to: { address: '255.255.255.255', port: 68 },
      fromPort: 4011,
      broadcast: true,
    });
  });
});
