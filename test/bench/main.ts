// `npm run bench [name …]`: measures Muster beside its peers and prints one table for each subject. Needs root, for the
// network namespaces. A new subject is a file beside this one and a line below.
import { formatTable } from './subject.ts';
import type { BenchSubject } from './subject.ts';
import { benchImages } from './images.ts';
import { benchTftp } from './tftp.ts';

const subjects: Readonly<Record<string, BenchSubject>> = { tftp: benchTftp, images: benchImages };

const wanted = process.argv.slice(2);
for (const [name, measure] of Object.entries(subjects)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const result = await measure();
  console.log(result.kind === 'table' ? formatTable(result) : `${result.title}: not measured, ${result.reason}\n`);
}
