// The part of the npm package `tftp` (no types of its own) that the interop test uses: its client.
declare module 'tftp' {
  export function createClient(options: {
    host: string;
    port: number;
    blockSize?: number;
    windowSize?: number;
    retries?: number;
    timeout?: number;
  }): {
    get(remoteFile: string, localFile: string, done: (error?: Error) => void): void;
  };
}
