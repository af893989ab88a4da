import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kernelCommandLine } from '../../../src/boot/kernel-command-line.ts';
import { planBoot } from '../../../src/boot/plan-boot.ts';
import { renderLocalDisk, renderNetboot, renderWait } from '../../../src/boot/render-ipxe.ts';
import { MACHINE_STATES } from '../../../src/machines/machine.ts';
import { profileSchema } from '../../../src/machines/profile.ts';
import { parseMacAddress } from '../../../src/protocol/mac-address.ts';
import { anImage } from '../../support/domain-builders.ts';
import { referenceOf } from '../../support/fake-catalogue.ts';

const image = anImage({ commandLine: ['console=ttyS0'] });
const found = { kind: 'image', image, reference: referenceOf(image) } as const;
const mac = parseMacAddress('52:54:00:00:00:01')!;
const profile = profileSchema.parse({ name: 'lab', boot: { image: 'debian-12', commandLine: ['quiet'] } });
const localDisk = profileSchema.parse({ name: 'lab', boot: { image: 'debian-12', whenActive: 'local-disk' } });

describe('planBoot', () => {
  it('boots the image of the profile once the machine is approved', () => {
    expect(planBoot({ state: 'approved', macs: [mac] }, profile, found)).toMatchObject({
      kind: 'netboot',
      reference: `debian-12@${image.digest}`,
    });
  });

  it('lets a discovered machine wait and names the command that ends the wait', () => {
    expect(planBoot({ state: 'discovered', macs: [mac] }, profile, found)).toMatchObject({
      kind: 'wait',
      hint: `muster machines approve ${mac}`,
    });
  });

  it('sends an active machine to its disk when the profile says local-disk, and no other machine', () => {
    for (const state of MACHINE_STATES) {
      const { kind } = planBoot({ state, macs: [mac] }, localDisk, found);
      if (state === 'active' || state === 'retired') expect(kind).toBe('local-disk');
      else expect(kind).not.toBe('local-disk');
    }
  });

  it('waits, and says for what, without a profile or without its image', () => {
    expect(planBoot({ state: 'approved', macs: [mac] }, undefined, undefined)).toMatchObject({
      reason: 'no profile fits this machine',
    });
    const none = {
      kind: 'none',
      reason: 'image debian-12 is being converted (43 %)',
      hint: 'muster images list',
    } as const;
    expect(planBoot({ state: 'approved', macs: [mac] }, profile, none)).toMatchObject({
      kind: 'wait',
      reason: 'image debian-12 is being converted (43 %)',
      hint: 'muster images list',
    });
  });
});

describe('kernelCommandLine', () => {
  it('has root, seed, server and pin, then the words of image and profile', () => {
    const words = kernelCommandLine({
      image,
      profileWords: ['quiet'],
      squashfsUrl: 'http://10.0.0.1:8080/boot/A/rootfs.squashfs',
      seedUrl: 'http://10.0.0.1:8080/boot/S/seed/',
      apiUrl: 'https://10.0.0.1:8443',
      caSha256: 'f'.repeat(64),
    });
    expect(words).toContain('root=live:http://10.0.0.1:8080/boot/A/rootfs.squashfs');
    expect(words).toContain('ds=nocloud;dsmode=net;s=http://10.0.0.1:8080/boot/S/seed/');
    expect(words).toContain(`muster.ca=sha256:${'f'.repeat(64)}`);
    expect(words.slice(-2)).toEqual(['console=ttyS0', 'quiet']);
  });

  const urls = { squashfsUrl: 'http://s/boot/A/rootfs.squashfs', seedUrl: 'http://s/boot/S/seed/' };
  const line = (rest: object): string =>
    kernelCommandLine({ image, profileWords: [], ...urls, apiUrl: 'https://s', caSha256: 'f', ...rest }).join(' ');

  it.each([
    ['dracut-livenet', 'root=live:http://s/boot/A/rootfs.squashfs rd.live.image'],
    ['kairos', 'rd.cos.disable netboot install-mode selinux=0 net.ifnames=1'],
    ['kairos', 'kairos.config_url=http://s/boot/S/seed/user-data config_url=http://s/boot/S/seed/user-data'],
    ['debian-live', 'boot=live components fetch=http://s/boot/A/rootfs.squashfs'],
    // casper's do_urlmount takes what ends in .iso alone.
    ['casper', 'netboot=url url=http://s/boot/A/rootfs.iso'],
    ['alpine', 'modloop=http://s/boot/A/rootfs.squashfs'],
  ] as const)('tells the initrd of %s where its root is: %s', (family, expected) => {
    expect(line({ image: anImage({ family }) })).toContain(expected);
  });

  it("gives a profile's own words in the place of the family's", () => {
    const words = line({ rootWords: ['root=myroot:{squashfs}', 'seed={seed}'] });
    expect(words).toMatch(
      /^root=myroot:http:\/\/s\/boot\/A\/rootfs\.squashfs seed=http:\/\/s\/boot\/S\/seed\/ ds=nocloud/,
    );
    expect(words).not.toContain('root=live:');
  });
});

describe('renderNetboot', () => {
  it('names both initrds in the same order on the command line and in the script (EFI stub and BIOS iPXE differ)', () => {
    const script = renderNetboot({
      title: 'x boots y',
      kernelUrl: 'http://s/k',
      initrdUrl: 'http://s/i',
      tokenInitrdUrl: 'http://s/t',
      commandLine: ['a=b'],
      scriptUrl: 'http://s/boot.ipxe',
    });
    expect(script).toBe(
      [
        '#!ipxe',
        'echo Muster: x boots y',
        'imgfree',
        'kernel --name vmlinuz http://s/k initrd=initrd.img initrd=token.cpio.gz a=b || goto failed',
        'initrd --name initrd.img http://s/i || goto failed',
        'initrd --name token.cpio.gz http://s/t || goto failed',
        'boot || goto failed',
        ':failed',
        'echo Muster: the boot failed, next try in 5 seconds',
        ':again',
        'imgfree',
        'sleep 5',
        'chain --replace --autofree http://s/boot.ipxe || autoboot || goto again',
        'goto again',
        '',
      ].join('\n'),
    );
  });

  it('refuses a value with a newline or a dollar sign, which could become a command', () => {
    const script = { title: 't', kernelUrl: 'k', initrdUrl: 'i', tokenInitrdUrl: 't', scriptUrl: 's' };
    expect(() => renderNetboot({ ...script, commandLine: ['a\nshell'] })).toThrow(RangeError);
    expect(() => renderNetboot({ ...script, commandLine: ['${x}'] })).toThrow(RangeError);
  });
});

describe('renderWait and renderLocalDisk', () => {
  it('show any reason as plain text on one line', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (reason, hint) => {
        expect(renderWait({ reason, hint, scriptUrl: 'http://s/x' }).split('\n')).toHaveLength(9);
        expect(renderLocalDisk({ reason })).not.toMatch(/\$\{(?!platform\})/);
      }),
    );
  });

  it('tells a BIOS its disk and lets UEFI go on with its boot order', () => {
    expect(renderLocalDisk({ reason: 'active' })).toContain('sanboot --no-describe --drive 0x80');
    expect(renderLocalDisk({ reason: 'active' })).toContain('exit 1');
  });
});
