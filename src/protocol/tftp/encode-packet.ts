// TftpPacket → datagram (RFC 1350 §5, RFC 2347). The inverse of decodePacket.
import { ByteWriter } from '../bytes.ts';
import { Opcode } from './packet.ts';
import type { TftpOptions, TftpPacket } from './packet.ts';

/** decodePacket(encodePacket(p)) equals p for every p whose texts hold no NUL and whose option names are lower-case. */
export function encodePacket(packet: TftpPacket): Uint8Array {
  const writer = new ByteWriter(packet.kind === 'data' ? packet.payload.length + 4 : 128);
  switch (packet.kind) {
    case 'read-request':
    case 'write-request':
      writer.uint16(packet.kind === 'read-request' ? Opcode.ReadRequest : Opcode.WriteRequest);
      writeText(writer, packet.name);
      writeText(writer, packet.mode);
      writeOptions(writer, packet.options);
      break;
    case 'data':
      writer.uint16(Opcode.Data);
      writer.uint16(packet.block);
      writer.bytes(packet.payload);
      break;
    case 'ack':
      writer.uint16(Opcode.Ack);
      writer.uint16(packet.block);
      break;
    case 'error':
      writer.uint16(Opcode.Error);
      writer.uint16(packet.code);
      writeText(writer, packet.message);
      break;
    case 'option-ack':
      writer.uint16(Opcode.OptionAck);
      writeOptions(writer, packet.options);
      break;
  }
  return writer.toBytes();
}

function writeOptions(writer: ByteWriter, options: TftpOptions): void {
  for (const [name, value] of options) {
    writeText(writer, name);
    writeText(writer, value);
  }
}

function writeText(writer: ByteWriter, text: string): void {
  writer.bytes(Buffer.from(text, 'utf8'));
  writer.uint8(0);
}
