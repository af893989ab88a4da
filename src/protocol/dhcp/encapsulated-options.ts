// Options within an option: 43 for PXE (RFC 2132 §8.4) and 175 for iPXE. Same list form, its own numbers.

import { ByteReader, ByteWriter } from '../bytes.ts';
import { OptionCode } from './option-codes.ts';
import { OptionCollector, writeOption, type DhcpOptions } from './option-list.ts';

/** Throws DecodeError. */
export function decodeEncapsulatedOptions(value: Uint8Array): DhcpOptions {
  const collector = new OptionCollector();
  collector.readAll(new ByteReader(value), 'encapsulated option');
  return collector.toOptions();
}

/** Ends with the End option, which PXE ROMs look for (PXE 2.1, tag 255). The order of the map is kept. */
export function encodeEncapsulatedOptions(options: DhcpOptions): Uint8Array {
  const writer = new ByteWriter(64);
  for (const [code, value] of options) writeOption(writer, code, value);
  writer.uint8(OptionCode.End);
  return writer.toBytes();
}
