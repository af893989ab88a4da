import { describe, expect, it } from 'vitest';
import { DecodeError } from '../../../../src/protocol/bytes.ts';
import {
  decodeEncapsulatedOptions,
  encodeEncapsulatedOptions,
} from '../../../../src/protocol/dhcp/encapsulated-options.ts';
import { PxeOption } from '../../../../src/protocol/dhcp/option-codes.ts';

describe('encapsulated options', () => {
  it('are the bytes that made EDK2 boot from the offer: discovery control 8, prompt "PXE"', () => {
    const options = new Map([
      [PxeOption.DiscoveryControl, Uint8Array.of(8)],
      [PxeOption.MenuPrompt, Uint8Array.of(0, 0x50, 0x58, 0x45)],
    ]);
    const bytes = encodeEncapsulatedOptions(options);
    expect(Buffer.from(bytes).toString('hex')).toBe('0601080a0400505845ff');
    expect(decodeEncapsulatedOptions(bytes)).toEqual(options);
  });

  it('keep the order they were given in, as ROMs read a menu from front to back', () => {
    const bytes = encodeEncapsulatedOptions(
      new Map([
        [PxeOption.BootMenu, Uint8Array.of(1)],
        [PxeOption.BootServers, Uint8Array.of(2)],
      ]),
    );
    expect([...bytes]).toEqual([9, 1, 1, 8, 1, 2, 255]);
  });

  it('may lack the End option', () => {
    expect(decodeEncapsulatedOptions(Uint8Array.of(71, 4, 0, 0, 0, 0))).toEqual(new Map([[71, new Uint8Array(4)]]));
  });

  it('that say more than is there are refused', () => {
    expect(() => decodeEncapsulatedOptions(Uint8Array.of(71, 4, 0))).toThrow(DecodeError);
  });
});
