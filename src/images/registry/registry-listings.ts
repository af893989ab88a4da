// Lists of the registry, page by page (distribution-spec "Content Discovery").
import { parseDigest } from '../digest.ts';
import { invalidDigest, refuseName } from './registry-names.ts';
import { refused, type Page, type PageRequest, type Refused } from './registry-outcome.ts';
import type { ManifestRecord, RegistryStore } from './registry-store.ts';

const PAGE_LIMIT = 1000;

/** Clients need not take a longer list (distribution-spec "Listing Referrers"), and annotations are as long as a client likes. */
const REFERRERS_LIMIT_BYTES = 3 * 1024 * 1024;
const DESCRIPTOR_BYTES = 512;

export class RegistryListings {
  readonly #store: RegistryStore;

  constructor(store: RegistryStore) {
    this.#store = store;
  }

  async tags(repository: string, request: PageRequest): Promise<Page<string> | Refused> {
    const refusal = refuseName(repository);
    if (refusal !== undefined) return refusal;
    const page = await pageOf(request, (wanted) => this.#store.listTags(repository, wanted));
    if (page.items.length > 0 || (await this.#store.hasRepository(repository))) return page;
    return refused('NAME_UNKNOWN', 'There is no such repository.');
  }

  repositories(request: PageRequest): Promise<Page<string>> {
    return pageOf(request, (wanted) => this.#store.listRepositories(wanted));
  }

  async referrers(
    repository: string,
    subjectText: string,
    options: { readonly artifactType?: string; readonly after?: string },
  ): Promise<Page<ManifestRecord> | Refused> {
    const refusal = refuseName(repository);
    if (refusal !== undefined) return refusal;
    const subject = parseDigest(subjectText);
    if (subject === undefined) return invalidDigest();
    const { artifactType, after = '' } = options;
    const all = await this.#store.listReferrers(repository, subject, artifactType);
    return fittingPage(all.filter(({ digest }) => digest > after));
  }
}

async function pageOf(
  { after, limit = PAGE_LIMIT }: PageRequest,
  list: (page: { readonly after?: string; readonly limit: number }) => Promise<readonly string[]>,
): Promise<Page<string>> {
  const length = Math.min(Math.max(limit, 0), PAGE_LIMIT);
  // One more than wanted tells whether there is another page. An empty page leads nowhere.
  const found = await list({ limit: length + 1, ...(after !== undefined && { after }) });
  const items = found.slice(0, length);
  const last = items.at(-1);
  return { kind: 'page', items, ...(found.length > length && last !== undefined && { next: last }) };
}

function fittingPage(records: readonly ManifestRecord[]): Page<ManifestRecord> {
  let bytes = 0;
  let count = 0;
  for (const { annotations } of records) {
    bytes += DESCRIPTOR_BYTES + Buffer.byteLength(JSON.stringify(annotations));
    if (bytes > REFERRERS_LIMIT_BYTES && count > 0) break;
    count += 1;
  }
  const items = records.slice(0, count);
  const last = items.at(-1);
  return { kind: 'page', items, ...(count < records.length && last !== undefined && { next: last.digest }) };
}
