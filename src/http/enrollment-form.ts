// The form that an agent sends to enroll: parsed once, here. Facts are lenient, as firmware tables hold anything; only
// the certificate request and one good MAC address are needed.
import { z } from 'zod';
import type { EnrollmentCandidate } from '../enrollment/enrollment-token.ts';
import type { HardwareFacts } from '../machines/machine.ts';
import { parseMacAddress } from '../protocol/mac-address.ts';
import { fact, one, wireText } from './form-body.ts';

const MAX_MACS = 64;
const MAX_DISKS = 64;
const text = wireText(200).pipe(z.string().min(1));
const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);
const uuid = z.string().toLowerCase().pipe(z.guid());

const FIELDS = z.object({
  csr: one(z.string().max(8192)),
  mac: z
    .array(z.string())
    .transform((all) => [...new Set(all.map(parseMacAddress).filter((mac) => mac !== undefined))].slice(0, MAX_MACS))
    .pipe(z.array(z.custom<NonNullable<ReturnType<typeof parseMacAddress>>>()).min(1, 'needs one good MAC address')),
  uuid: fact(uuid),
  serial: fact(text),
  vendor: fact(text),
  product: fact(text),
  architecture: fact(text),
  firmware: fact(z.enum(['bios', 'uefi'])),
  cpu: fact(text),
  cpu_count: fact(wholeNumber),
  memory_bytes: fact(wholeNumber),
  disk: z.array(z.string()).optional(),
});

/** A certificate request, who the machine says it is, and what it says of its hardware. */
export const ENROLLMENT_FORM = FIELDS.transform((form) => {
  const bonds = { ...optional('uuid', form.uuid), ...optional('serial', form.serial) };
  const candidate: EnrollmentCandidate = { macs: form.mac, ...bonds };
  const facts: HardwareFacts = {
    ...bonds,
    macs: form.mac,
    ...optional('vendor', form.vendor),
    ...optional('product', form.product),
    ...optional('architecture', form.architecture),
    ...optional('firmware', form.firmware),
    ...optional('cpu', form.cpu),
    ...optional('cpuCount', form.cpu_count),
    ...optional('memoryBytes', form.memory_bytes),
    ...optional('disks', form.disk?.slice(0, MAX_DISKS).flatMap(parseDisk)),
  };
  return { csr: form.csr, candidate, facts };
});

/** `name,sizeBytes,model`; the model may be missing and may itself hold commas. */
function parseDisk(field: string): NonNullable<HardwareFacts['disks']>[number][] {
  const match = /^([^,]{1,64}),(\d{1,18})(?:,(.*))?$/s.exec(field);
  const name = wireText(64).parse(match?.[1] ?? '');
  const model = wireText(200).parse(match?.[3] ?? '');
  if (name === '') return [];
  return [{ name, sizeBytes: Number(match?.[2]), ...(model !== '' && { model }) }];
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Readonly<Record<K, V>>> {
  const present: Partial<Record<K, V>> = {};
  if (value !== undefined) present[key] = value;
  return present;
}
