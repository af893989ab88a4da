// Client architectures: IANA's "Processor Architecture Types" for DHCP option 93 (RFC 4578 §2.1, RFC 5970 §3.3) under stable names.
// A name says what the machine runs and how it fetches, so that it can be the key of a loader.

type Firmware = 'bios' | 'uefi' | 'uboot' | 'raspberry-pi' | 'other';
type Transport = 'tftp' | 'http';

interface ArchitectureFacts {
  readonly id: number;
  readonly firmware: Firmware;
  readonly transport: Transport;
}

const FACTS = {
  'x86-bios': { id: 0, firmware: 'bios', transport: 'tftp' },
  pc98: { id: 1, firmware: 'other', transport: 'tftp' },
  'itanium-uefi': { id: 2, firmware: 'uefi', transport: 'tftp' },
  alpha: { id: 3, firmware: 'other', transport: 'tftp' },
  'arc-x86': { id: 4, firmware: 'other', transport: 'tftp' },
  'intel-lean-client': { id: 5, firmware: 'other', transport: 'tftp' },
  'ia32-uefi': { id: 6, firmware: 'uefi', transport: 'tftp' },
  'x64-uefi': { id: 7, firmware: 'uefi', transport: 'tftp' },
  'xscale-uefi': { id: 8, firmware: 'uefi', transport: 'tftp' },
  'ebc-uefi': { id: 9, firmware: 'uefi', transport: 'tftp' },
  'arm32-uefi': { id: 10, firmware: 'uefi', transport: 'tftp' },
  'arm64-uefi': { id: 11, firmware: 'uefi', transport: 'tftp' },
  'powerpc-open-firmware': { id: 12, firmware: 'other', transport: 'tftp' },
  'powerpc-epapr': { id: 13, firmware: 'other', transport: 'tftp' },
  'powerpc-opal': { id: 14, firmware: 'other', transport: 'tftp' },
  'ia32-uefi-http': { id: 15, firmware: 'uefi', transport: 'http' },
  'x64-uefi-http': { id: 16, firmware: 'uefi', transport: 'http' },
  'ebc-uefi-http': { id: 17, firmware: 'uefi', transport: 'http' },
  'arm32-uefi-http': { id: 18, firmware: 'uefi', transport: 'http' },
  'arm64-uefi-http': { id: 19, firmware: 'uefi', transport: 'http' },
  'x86-bios-http': { id: 20, firmware: 'bios', transport: 'http' },
  'arm32-uboot': { id: 21, firmware: 'uboot', transport: 'tftp' },
  'arm64-uboot': { id: 22, firmware: 'uboot', transport: 'tftp' },
  'arm32-uboot-http': { id: 23, firmware: 'uboot', transport: 'http' },
  'arm64-uboot-http': { id: 24, firmware: 'uboot', transport: 'http' },
  'riscv32-uefi': { id: 25, firmware: 'uefi', transport: 'tftp' },
  'riscv32-uefi-http': { id: 26, firmware: 'uefi', transport: 'http' },
  'riscv64-uefi': { id: 27, firmware: 'uefi', transport: 'tftp' },
  'riscv64-uefi-http': { id: 28, firmware: 'uefi', transport: 'http' },
  'riscv128-uefi': { id: 29, firmware: 'uefi', transport: 'tftp' },
  'riscv128-uefi-http': { id: 30, firmware: 'uefi', transport: 'http' },
  's390-basic': { id: 31, firmware: 'other', transport: 'tftp' },
  's390-extended': { id: 32, firmware: 'other', transport: 'tftp' },
  'mips32-uefi': { id: 33, firmware: 'uefi', transport: 'tftp' },
  'mips64-uefi': { id: 34, firmware: 'uefi', transport: 'tftp' },
  'sunway32-uefi': { id: 35, firmware: 'uefi', transport: 'tftp' },
  'sunway64-uefi': { id: 36, firmware: 'uefi', transport: 'tftp' },
  'loongarch32-uefi': { id: 37, firmware: 'uefi', transport: 'tftp' },
  'loongarch32-uefi-http': { id: 38, firmware: 'uefi', transport: 'http' },
  'loongarch64-uefi': { id: 39, firmware: 'uefi', transport: 'tftp' },
  'loongarch64-uefi-http': { id: 40, firmware: 'uefi', transport: 'http' },
  'arm-rpiboot': { id: 41, firmware: 'raspberry-pi', transport: 'tftp' },
  /** A number that IANA gave out after this table was written. */
  unknown: { id: -1, firmware: 'other', transport: 'tftp' },
} as const satisfies Record<string, ArchitectureFacts>;

export type Architecture = keyof typeof FACTS;

/** The facts of one architecture. The id of 'unknown' is -1, which no packet can carry. */
export function architectureFacts(architecture: Architecture): ArchitectureFacts {
  return FACTS[architecture];
}

const NAMES = Object.keys(FACTS).filter((name): name is Architecture => name in FACTS);
const NAME_BY_ID: ReadonlyMap<number, Architecture> = new Map(NAMES.map((name) => [FACTS[name].id, name]));

/** Total: a number without a name is 'unknown'. */
export function architectureOfId(id: number): Architecture {
  return NAME_BY_ID.get(id) ?? 'unknown';
}

/**
 * The architecture whose loader this one runs. Many x64 machines announce EBC, since RFC 4578 §2.1 had 7 and 9 the wrong
 * way round (see its errata): they get what x64 gets.
 */
export function loaderArchitecture(architecture: Architecture): Architecture {
  if (architecture === 'ebc-uefi') return 'x64-uefi';
  return architecture === 'ebc-uefi-http' ? 'x64-uefi-http' : architecture;
}
