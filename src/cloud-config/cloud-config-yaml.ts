// YAML as cloud-init reads it: PyYAML's SafeLoader. That is YAML 1.1 but for `y` and `n`, which stay text there
// (yaml/resolver.py, tag:yaml.org,2002:bool), and dates, which stay text here so that they pass through unchanged.
import {
  FAILSAFE_SCHEMA,
  NOT_RESOLVED,
  Schema,
  binaryTag,
  defineScalarTag,
  floatYaml11Tag,
  intYaml11Tag,
  mergeTag,
  nullYaml11Tag,
} from 'js-yaml';

const TRUE = /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const FALSE = /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/;

const boolTag = defineScalarTag('tag:yaml.org,2002:bool', {
  implicit: true,
  implicitFirstChars: ['y', 'Y', 'n', 'N', 't', 'T', 'f', 'F', 'o', 'O'],
  resolve: (source: string) => (TRUE.test(source) ? true : FALSE.test(source) ? false : NOT_RESOLVED),
  identify: (value: unknown) => typeof value === 'boolean',
  represent: (value: unknown) => (value === true ? 'true' : 'false'),
});

export const CLOUD_CONFIG_YAML = new Schema([
  ...FAILSAFE_SCHEMA.tags,
  nullYaml11Tag,
  boolTag,
  intYaml11Tag,
  floatYaml11Tag,
  mergeTag,
  binaryTag,
]);
