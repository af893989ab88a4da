// Which of two versions is newer: the order of `LC_ALL=C sort -V`, since agents ask that very program before they take an image
// (GNU coreutils manual, "Version sort ordering"). Pure.

type Letters = readonly number[];

/** Negative where `a` is the older one, 0 where both are the same text. */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0;
  return (
    byLeadingDots(a, b) ||
    byParts(withoutSuffix(a), withoutSuffix(b)) ||
    byParts(a, b) ||
    Buffer.compare(Buffer.from(a), Buffer.from(b))
  );
}

/** "Special priority": the empty text, then `.`, then `..`, then whatever begins with a dot. */
function byLeadingDots(a: string, b: string): number {
  const rank = (text: string): number => ['', '.', '..'].indexOf(text);
  const [rankA, rankB] = [rank(a), rank(b)];
  if (rankA >= 0 || rankB >= 0) return (rankA < 0 ? 3 : rankA) - (rankB < 0 ? 3 : rankB);
  return Number(b.startsWith('.')) - Number(a.startsWith('.'));
}

/** What looks like the extension of a file counts only where all before it is equal. */
function withoutSuffix(text: string): string {
  const suffix = /(?:\.[A-Za-z~][A-Za-z0-9~]*)*$/.exec(text);
  const length = suffix === null ? text.length : suffix.index;
  return length === 0 ? text : text.slice(0, length);
}

/** In turns a part without digits and a number, until one differs. */
function byParts(a: string, b: string): number {
  const [partsA, partsB] = [split(a), split(b)];
  for (let index = 0; index < Math.max(partsA.length, partsB.length); index += 1) {
    const [letters, digits] = [compareLetters, compareNumbers];
    const compare = index % 2 === 0 ? letters : digits;
    const result = compare(partsA[index] ?? '', partsB[index] ?? '');
    if (result !== 0) return result;
  }
  return 0;
}

/** Even parts have no digit, odd parts nothing else; the first may be empty. */
function split(text: string): readonly string[] {
  return text.split(/([0-9]+)/);
}

function compareNumbers(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return left.length - right.length || (left < right ? -1 : Number(left > right));
}

function compareLetters(a: string, b: string): number {
  const [left, right] = [weights(a), weights(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const result = (left[index] ?? 0) - (right[index] ?? 0);
    if (result !== 0) return result;
  }
  return 0;
}

/** `~` before the end of the text, the end (0) before letters, letters before all else. */
function weights(text: string): Letters {
  return Array.from(Buffer.from(text), (byte) => {
    const character = String.fromCharCode(byte);
    if (character === '~') return -1;
    return /[A-Za-z]/.test(character) ? byte : byte + 256;
  });
}
