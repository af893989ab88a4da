// Where a command writes. A small port, so that tests need no terminal. Adapter: main.ts.

export interface Output {
  readonly isTerminal: boolean;
  /** Width of the terminal in characters. */
  readonly columns: number;
  write(text: string): void;
}
