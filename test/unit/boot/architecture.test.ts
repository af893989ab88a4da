import { describe, expect, it } from 'vitest';
import { architectureFacts, architectureOfId, loaderArchitecture } from '../../../src/boot/architecture.ts';

describe('architectures', () => {
  it('have a name for each of the 42 numbers that IANA gave out, each its own', () => {
    const names = Array.from({ length: 42 }, (_, id) => architectureOfId(id));
    expect(names).not.toContain('unknown');
    expect(new Set(names).size).toBe(42);
    expect(names.map((name) => architectureFacts(name).id)).toEqual(Array.from({ length: 42 }, (_, id) => id));
  });

  it('say http in the name exactly where they fetch by HTTP', () => {
    for (let id = 0; id < 42; id += 1) {
      const name = architectureOfId(id);
      expect(architectureFacts(name).transport, name).toBe(name.endsWith('-http') ? 'http' : 'tftp');
    }
  });

  it.each([
    [0, 'x86-bios'],
    [6, 'ia32-uefi'],
    [7, 'x64-uefi'],
    [9, 'ebc-uefi'],
    [10, 'arm32-uefi'],
    [11, 'arm64-uefi'],
    [16, 'x64-uefi-http'],
    [19, 'arm64-uefi-http'],
    [22, 'arm64-uboot'],
    [27, 'riscv64-uefi'],
    [39, 'loongarch64-uefi'],
    [41, 'arm-rpiboot'],
  ])('%i is %s (IANA, Processor Architecture Types)', (id, name) => {
    expect(architectureOfId(id)).toBe(name);
  });

  it('that came after this table are unknown', () => {
    expect([42, 255, 0xffff].map(architectureOfId)).toEqual(['unknown', 'unknown', 'unknown']);
  });

  it('7 and 9 run the same loader, as do 16 and 17 (errata of RFC 4578 §2.1)', () => {
    expect(loaderArchitecture('ebc-uefi')).toBe('x64-uefi');
    expect(loaderArchitecture('ebc-uefi-http')).toBe('x64-uefi-http');
    expect(loaderArchitecture('arm64-uefi')).toBe('arm64-uefi');
  });
});
