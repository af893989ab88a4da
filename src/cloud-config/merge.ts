// Layers of a cloud-config become one: fleet first, machine last. Maps merge key by key, lists are joined in the order of the
// layers, anything else is replaced by the later layer, and null takes a key away. Pure.
import type { CloudConfig } from './cloud-config.ts';

export function mergeLayers(layers: readonly CloudConfig[]): CloudConfig {
  return layers.reduce<CloudConfig>((merged, layer) => mergeMaps(merged, layer), {});
}

type YamlMap = Readonly<Record<string, unknown>>;

function mergeMaps(below: YamlMap, above: YamlMap): Record<string, unknown> {
  const merged = new Map<string, unknown>(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergeValues(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}

function mergeValues(below: unknown, above: unknown): unknown {
  if (Array.isArray(below) && Array.isArray(above)) return [...(below as unknown[]), ...(above as unknown[])];
  if (isMap(above)) return mergeMaps(isMap(below) ? below : {}, above);
  return above;
}

function isMap(value: unknown): value is YamlMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
