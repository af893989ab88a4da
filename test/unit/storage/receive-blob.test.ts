import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { receiveBlob } from '../../../src/storage/receive-blob.ts';

const keepNothing = (): Promise<void> => Promise.resolve();

describe('receiveBlob', () => {
  it('gives the SHA-256 and size of what came (FIPS 180-2, appendix B.1: "abc")', async () => {
    expect(await receiveBlob(Readable.from([Buffer.from('a'), Buffer.from('bc')]), 3, keepNothing)).toEqual({
      kind: 'received',
      digest: 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      sizeBytes: 3,
    });
  });

  it('takes a part of a larger buffer for no more than that part', async () => {
    const part = new Uint8Array(Buffer.from('xabcx')).subarray(1, 4);
    const kept: string[] = [];
    await receiveBlob(Readable.from([part]), 3, (chunk) => {
      kept.push(chunk.toString());
      return Promise.resolve();
    });
    expect(kept).toEqual(['abc']);
  });

  it('waits for each chunk to be kept before it takes the next', async () => {
    const log: string[] = [];
    const source = Readable.from([Buffer.from('1'), Buffer.from('2')]);
    await receiveBlob(source, 10, async (chunk) => {
      log.push(`begin ${chunk.toString()}`);
      await new Promise((resolve) => setImmediate(resolve));
      log.push(`end ${chunk.toString()}`);
    });
    expect(log).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2']);
  });

  it('hands on nothing beyond the limit, and reads the rest away', async () => {
    const kept: string[] = [];
    const source = Readable.from([Buffer.from('12'), Buffer.from('34'), Buffer.from('56')]);
    const received = await receiveBlob(source, 3, (chunk) => {
      kept.push(chunk.toString());
      return Promise.resolve();
    });
    expect(received).toEqual({ kind: 'too-large', limitBytes: 3 });
    expect(kept).toEqual(['12']);
    await new Promise((resolve) => source.on('end', resolve));
  });

  it('fails as the place where it is kept fails', async () => {
    const full = (): Promise<void> => Promise.reject(new Error('no space left on device'));
    await expect(receiveBlob(Readable.from([Buffer.from('1')]), 3, full)).rejects.toThrow('no space left');
  });

  it('takes no text: a stream with an encoding would change the bytes', async () => {
    await expect(receiveBlob(Readable.from(['abc']), 3, keepNothing)).rejects.toMatchObject({ code: 'internal' });
  });
});
