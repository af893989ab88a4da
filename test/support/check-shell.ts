// shellcheck over every shell script of the project (those that a machine runs above all).
import { spawnSync } from 'node:child_process';

const tracked = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
}).stdout.split('\n');
const head = (file: string): string => spawnSync('head', ['-c', '40', file], { encoding: 'utf8' }).stdout;
const scripts = tracked.filter(
  (file) => file !== '' && (file.endsWith('.sh') || /^#!.*\b(sh|bash)\b/.test(head(file))),
);
if (scripts.length === 0) {
  process.stderr.write('check-shell: no shell script found, which cannot be right\n');
  process.exitCode = 1;
} else {
  const run = spawnSync('shellcheck', ['-x', ...scripts], { stdio: 'inherit' });
  if (run.error) process.stderr.write('check-shell: shellcheck is missing: apt-get install shellcheck\n');
  process.stdout.write(`${scripts.length} shell scripts checked\n`);
  process.exitCode = run.status ?? 1;
}
