// Runs dependency-cruiser over src/ and fails on a broken rule, and also when it saw too few modules to be believed
// (with an unsupported TypeScript it sees none and passes).
import { cruise, type IReporterOutput } from 'dependency-cruiser';
import extractDepcruiseConfig from 'dependency-cruiser/config-utl/extract-depcruise-config';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const MODULES_AT_LEAST = 20;

const config = await extractDepcruiseConfig('./.dependency-cruiser.cjs');
const { output: report, exitCode }: IReporterOutput = await cruise(
  ['src', 'test', 'vm-lab'],
  { ...config.options, ruleSet: config, validate: true, outputType: 'err' },
  config.options?.enhancedResolveOptions,
  { tsConfig: extractTSConfig('./tsconfig.json') },
);

const { output: graph } = await cruise(
  ['src'],
  { ...config.options, outputType: 'json' },
  config.options?.enhancedResolveOptions,
  {
    tsConfig: extractTSConfig('./tsconfig.json'),
  },
);
const modulesSeen = (
  JSON.parse(typeof graph === 'string' ? graph : '{}') as { modules: { source: string }[] }
).modules.filter((module) => module.source.startsWith('src/')).length;

process.stdout.write(`${typeof report === 'string' ? report : ''}\n${modulesSeen} modules of src/ seen\n`);
if (modulesSeen < MODULES_AT_LEAST) {
  process.stderr.write(`check-boundaries: only ${modulesSeen} modules seen, expected at least ${MODULES_AT_LEAST}\n`);
  process.exitCode = 1;
} else if (exitCode !== 0) {
  process.exitCode = 1;
}
