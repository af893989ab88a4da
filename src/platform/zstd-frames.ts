// Cuts a stream of zstd frames at their ends (RFC 8878 §3.1). Node's decompressor drops what follows a frame in the same
// write, but goes on with a frame that begins a new one; zstd:chunked layers have a frame per file. Judges nothing else.

const FRAME_MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a5;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const RLE_BLOCK = 1;

type Field = 'magic' | 'skippable-size' | 'descriptor' | 'block';

export class ZstdFrameSplitter {
  private field: Field = 'magic';
  private readonly head: number[] = [];
  /** Bytes up to the next field. */
  private skip = 0;
  private frameEndsAfterSkip = false;
  private hasChecksum = false;
  /** What comes is no zstd: passed on as it is, for the decompressor to refuse. */
  private lost = false;

  /** Parts of the chunk, in order and complete; none goes on behind the end of a frame. */
  *push(chunk: Buffer): Generator<Buffer, void> {
    let start = 0;
    let at = 0;
    while (at < chunk.length && !this.lost) {
      if (this.skip > 0) {
        const skipped = Math.min(this.skip, chunk.length - at);
        this.skip -= skipped;
        at += skipped;
      } else {
        this.head.push(chunk.readUInt8(at));
        at += 1;
        if (this.head.length === fieldBytes(this.field)) this.onField(Buffer.from(this.head.splice(0)));
      }
      if (this.skip === 0 && this.frameEndsAfterSkip) {
        this.frameEndsAfterSkip = false;
        yield chunk.subarray(start, at);
        start = at;
      }
    }
    if (start < chunk.length) yield chunk.subarray(start);
  }

  private onField(bytes: Buffer): void {
    switch (this.field) {
      case 'magic': {
        const magic = bytes.readUInt32LE();
        if (magic === FRAME_MAGIC) this.field = 'descriptor';
        else if (magic >>> 4 === SKIPPABLE_MAGIC) this.field = 'skippable-size';
        else this.lost = true;
        return;
      }
      case 'skippable-size':
        this.endFrame(bytes.readUInt32LE());
        return;
      case 'descriptor': {
        const descriptor = bytes.readUInt8();
        const singleSegment = (descriptor & 0x20) !== 0;
        const contentSize = CONTENT_SIZE_BYTES[descriptor >>> 6] ?? 0;
        this.hasChecksum = (descriptor & 0x04) !== 0;
        this.skip =
          (DICTIONARY_ID_BYTES[descriptor & 0x03] ?? 0) + (singleSegment ? Math.max(contentSize, 1) : contentSize + 1);
        this.field = 'block';
        return;
      }
      case 'block': {
        const header = bytes.readUIntLE(0, 3);
        const sizeBytes = ((header >>> 1) & 0x03) === RLE_BLOCK ? 1 : header >>> 3;
        if ((header & 0x01) === 0) this.skip = sizeBytes;
        else this.endFrame(sizeBytes + (this.hasChecksum ? 4 : 0));
        return;
      }
    }
  }

  private endFrame(leftBytes: number): void {
    this.skip = leftBytes;
    this.frameEndsAfterSkip = true;
    this.field = 'magic';
  }
}

function fieldBytes(field: Field): number {
  if (field === 'descriptor') return 1;
  return field === 'block' ? 3 : 4;
}
