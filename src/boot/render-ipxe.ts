// Boot plans as iPXE scripts (ipxe.org/scripting). Pure text; every value that is put in was parsed to a safe alphabet
// before, and `assertSafe` is the last gate: no `$`, no newline, so that nothing a machine says of itself can become a command.

const RETRY_SECONDS = 10;
const FAILURE_SECONDS = 5;

export interface NetbootScript {
  readonly title: string;
  readonly kernelUrl: string;
  readonly initrdUrl: string;
  /** The second initrd, which carries the enrollment token. */
  readonly tokenInitrdUrl: string;
  readonly commandLine: readonly string[];
  /** Detached signatures for loaders that have imgverify and trust this server; without it a loader is asked for nothing. */
  readonly signatureUrls?: { readonly kernel: string; readonly initrd: string } | undefined;
  /** This script's own URL, asked again after a failure. */
  readonly scriptUrl: string;
}

/**
 * Kernel and both initrds by name: the EFI stub loads them by the `initrd=` words in command line order, BIOS iPXE in the
 * order of the script, so both orders are the same.
 */
export function renderNetboot(script: NetbootScript): string {
  return render([
    `echo Muster: ${plain(script.title)}`,
    'imgfree',
    `kernel --name vmlinuz ${script.kernelUrl} initrd=initrd.img initrd=token.cpio.gz ${script.commandLine.join(' ')} || goto failed`,
    ...verified('vmlinuz', script.signatureUrls?.kernel),
    `initrd --name initrd.img ${script.initrdUrl} || goto failed`,
    ...verified('initrd.img', script.signatureUrls?.initrd),
    `initrd --name token.cpio.gz ${script.tokenInitrdUrl} || goto failed`,
    'boot || goto failed',
    ':failed',
    `echo Muster: the boot failed, next try in ${FAILURE_SECONDS} seconds`,
    ...askAgain(script.scriptUrl, FAILURE_SECONDS),
  ]);
}

/** Tells the person at the console what is missing, and asks again. */
export function renderWait(wait: {
  readonly reason: string;
  readonly hint: string;
  readonly scriptUrl: string;
}): string {
  return render([
    `echo Muster: ${plain(wait.reason)}`,
    `echo Muster: to go on, run: ${plain(wait.hint)}`,
    ...askAgain(wait.scriptUrl, RETRY_SECONDS),
  ]);
}

/**
 * Asks for this script again, without end: a server that is away for a while must not cost a machine its boot. Where the
 * session has ended meanwhile, `autoboot` asks by DHCP for a new one.
 */
function askAgain(scriptUrl: string, seconds: number): readonly string[] {
  return [
    ':again',
    'imgfree',
    `sleep ${seconds}`,
    `chain --replace --autofree ${scriptUrl} || autoboot || goto again`,
    'goto again',
  ];
}

/** UEFI goes on with the next boot option when iPXE exits; a BIOS needs to be told the disk. */
export function renderLocalDisk(local: { readonly reason: string }): string {
  return render([
    `echo Muster: booting from the local disk: ${plain(local.reason)}`,
    'iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||',
    // A success would end in the firmware's setup; an error leads to the next boot option (EDK2, BdsEntry.c).
    'exit 1',
  ]);
}

/** A loader without the command, or one that trusts somebody else, goes no further (ipxe.org/cmd/imgverify). */
function verified(name: string, signatureUrl: string | undefined): readonly string[] {
  return signatureUrl === undefined ? [] : [`imgverify ${name} ${signatureUrl} || goto failed`];
}

function render(lines: readonly string[]): string {
  for (const line of lines) assertSafe(line);
  return `#!ipxe\n${lines.join('\n')}\n`;
}

/** Text for `echo`: what is not plain becomes `_`. */
function plain(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9 ._:/@=+,()<>-]/g, '_');
}

function assertSafe(line: string): void {
  if (/[^\x20-\x7e]/.test(line) || line.replace('${platform}', '').includes('$'))
    throw new RangeError('a value that is not plain text reached a boot script');
}
