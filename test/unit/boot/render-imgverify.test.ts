import { describe, expect, it } from 'vitest';
import { renderNetboot, type NetbootScript } from '../../../src/boot/render-ipxe.ts';

const SCRIPT: NetbootScript = {
  title: 'a machine',
  kernelUrl: 'http://192.0.2.1/a/vmlinuz',
  initrdUrl: 'http://192.0.2.1/a/initrd.img',
  tokenInitrdUrl: 'http://192.0.2.1/s/token.cpio.gz',
  commandLine: ['quiet'],
  scriptUrl: 'http://192.0.2.1/s/boot.ipxe',
};

describe('renderNetboot with signatures', () => {
  it('verifies kernel and initrd right after each was fetched, and boots neither where that fails', () => {
    const signatureUrls = { kernel: `${SCRIPT.kernelUrl}.sig`, initrd: `${SCRIPT.initrdUrl}.sig` };
    const lines = renderNetboot({ ...SCRIPT, signatureUrls }).split('\n');
    const fetches = lines.filter((line) => /^(?:kernel|initrd|imgverify|boot) /.test(line));
    expect(fetches).toEqual([
      expect.stringMatching(/^kernel --name vmlinuz /),
      'imgverify vmlinuz http://192.0.2.1/a/vmlinuz.sig || goto failed',
      expect.stringMatching(/^initrd --name initrd\.img /),
      'imgverify initrd.img http://192.0.2.1/a/initrd.img.sig || goto failed',
      expect.stringMatching(/^initrd --name token\.cpio\.gz /),
      'boot || goto failed',
    ]);
  });

  it("asks for nothing by default: Debian's iPXE has no such command", () => {
    expect(renderNetboot(SCRIPT)).not.toContain('imgverify');
  });
});
