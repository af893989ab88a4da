// `muster images sign` and `muster images verify`: signatures are made and checked where the person is; a private key never
// leaves that machine.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadSigner, loadTrustedKeys } from '../crypto/image-keys.ts';
import { BOOT_ARTIFACT_TYPE } from '../images/boot-image.ts';
import type { Digest } from '../images/digest.ts';
import { formatImageReference, parseImageReference, type ImageReference } from '../images/image-reference.ts';
import { parseManifest } from '../images/registry/oci-manifest.ts';
import { renderSignaturePayload } from '../images/trust/signature.ts';
import { findSignatures } from '../images/trust/signature-finder.ts';
import { SignatureTrust } from '../images/trust/signature-trust.ts';
import type { PulledManifest, RegistryClient } from '../registry-client/registry-client.ts';
import { channelAnswers, type SignaturesAnswer } from './channel-answers.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { formatSignatures } from './format-channels.ts';
import { layoutOf } from './layout.ts';
import { RegistrySignatures } from './registry-signatures.ts';
import { withRegistry } from './with-registry.ts';

/** Where only the image is signed: installed machines ask for the other signature. */
const NOT_CONVERTED =
  '  It is not converted yet: sign it again when `muster images list` says ready, or machines with a disk will not take it.\n';

export function addSignatureCommands(images: Command, tools: CommandTools): void {
  images
    .command('sign')
    .description(
      'sign an image with a key of yours, as cosign does; the key stays here, the signature goes to the registry',
    )
    .argument('<reference>', 'NAME:TAG, NAME@CHANNEL or NAME@DIGEST')
    .requiredOption('--key <file>', 'private key: PEM, P-256')
    .action(async (text: string, { key }: { key: string }) => {
      const { sign, key: own } = await loadSigner(resolve(tools.workingDirectory, key));
      const reference = parseReference(text);
      await withRegistry(tools, async (client, host) => {
        const image = await pullImage(reference, client, tools);
        const boot = await pullBootManifests(reference.name, image, client);
        const repository = reference.name;
        const signatures = new RegistrySignatures(client);
        const signed: { readonly digest: Digest; readonly changed: boolean }[] = [];
        for (const manifest of [image, ...boot]) {
          const target = { repository, digest: manifest.digest };
          const found = await findSignatures(signatures, target, [own]);
          const changed = !found.some(({ verdict }) => verdict.kind === 'valid');
          const payload = renderSignaturePayload({ reference: `${host}/${repository}`, digest: manifest.digest });
          if (changed) await signatures.add(repository, manifest, payload, sign(payload));
          signed.push({ digest: manifest.digest, changed });
        }
        const bootManifests = boot.map(({ digest }) => digest);
        const changed = signed.some((one) => one.changed);
        const answer = { image: repository, digest: image.digest, key: own.name, changed, bootManifests };
        tools.show(answer, () =>
          signed
            .map(({ digest, changed: isNew }) => {
              const name = tools.style.strong(`${repository}@${digest}`);
              const what = digest === image.digest ? '' : ' (what machines boot of it)';
              return isNew
                ? `  ${tools.style.good('✓')} ${name}${what} is signed by ${own.name}\n`
                : `  ${name}${what} is signed by ${own.name} already\n`;
            })
            .join('')
            .concat(bootManifests.length > 0 ? '' : NOT_CONVERTED),
        );
      });
    });

  images
    .command('verify')
    .description(
      'who signed an image, and whether that is enough: by a key of yours, or by the keys and rules of the server',
    )
    .argument('<reference>', 'NAME:TAG, NAME@CHANNEL or NAME@DIGEST')
    .option('--key <file>', 'public key: PEM, P-256; the server is then not asked for its opinion')
    .option('--channel <name>', 'by the rules of this channel')
    .action(async (text: string, { key, channel }: { key?: string; channel?: string }) => {
      const reference = parseReference(text);
      const answer =
        key === undefined ? await askServer(reference, channel, tools) : await verifyHere(reference, key, tools);
      tools.show(answer, () => formatSignatures(answer, layoutOf(tools)));
      if (answer.decision.kind === 'refused')
        throw new CliError('image-untrusted', `${formatImageReference(reference)} is not trusted.`);
    });
}

/** What was made of the image for machines to boot: the same image gives the same boot manifest, on every server. */
async function pullBootManifests(
  repository: string,
  image: PulledManifest,
  client: RegistryClient,
): Promise<readonly PulledManifest[]> {
  const parsed = parseManifest(image.content, image.mediaType);
  const children =
    parsed.kind === 'parsed' && parsed.manifest.kind === 'index'
      ? parsed.manifest.manifests.map(({ digest }) => digest)
      : [];
  const found: PulledManifest[] = [];
  for (const subject of [image.digest, ...children])
    for (const { digest } of await client.listReferrers(repository, subject, BOOT_ARTIFACT_TYPE)) {
      const manifest = await client.pullManifest(repository, digest);
      if (manifest !== undefined) found.push(manifest);
    }
  return found;
}

async function askServer(
  reference: ImageReference,
  channel: string | undefined,
  tools: CommandTools,
): Promise<SignaturesAnswer> {
  const query = { reference: formatImageReference(reference), channel };
  const answer = await (await tools.api()).call({ method: 'GET', path: '/image-signatures', query });
  return channelAnswers.signatures.parse(answer);
}

async function verifyHere(reference: ImageReference, file: string, tools: CommandTools): Promise<SignaturesAnswer> {
  const keys = await loadTrustedKeys({
    keys: [resolve(tools.workingDirectory, file)],
    require: [],
    channels: {},
  });
  return withRegistry(tools, async (client) => {
    const { digest } = await pullImage(reference, client, tools);
    const requirements = { require: keys.map(({ name }) => name), channels: {} };
    const trust = new SignatureTrust({ source: new RegistrySignatures(client), keys, requirements });
    const { signatures, decision } = await trust.report(reference.name, digest);
    return { image: reference.name, digest, signatures: [...signatures], decision };
  });
}

async function pullImage(
  reference: ImageReference,
  client: RegistryClient,
  tools: CommandTools,
): Promise<PulledManifest> {
  const image = await client.pullManifest(reference.name, await registryReference(reference, tools));
  if (image !== undefined) return image;
  throw new CliError('not-found', `There is no ${formatImageReference(reference)} in the registry.`);
}

/** Registries know tags and digests; what a channel is the server alone knows. */
async function registryReference(reference: ImageReference, tools: CommandTools): Promise<string> {
  switch (reference.kind) {
    case 'tag':
      return reference.tag;
    case 'digest':
      return reference.digest;
    case 'channel': {
      const query = { image: reference.name };
      const answer = await (await tools.api()).call({ method: 'GET', path: '/channels', query });
      const { channels } = channelAnswers.channels.parse(answer);
      const found = channels.find(({ channel }) => channel === reference.channel);
      if (found !== undefined) return found.digest;
      throw new CliError('not-found', `There is no channel ${formatImageReference(reference)}.`);
    }
  }
}

function parseReference(text: string): ImageReference {
  const reference = parseImageReference(text);
  if (reference !== undefined) return reference;
  throw new CliError(
    'invalid-request',
    `${JSON.stringify(text)} is not an image.\nFix: write NAME:TAG, NAME@CHANNEL or NAME@DIGEST, as in fleet/os:1.`,
    2,
  );
}
