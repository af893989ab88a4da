// One machine: what it is, in which state and why, and the timeline of its latest boot.
import type { BootEvent } from '../events/boot-event.ts';
import { shortReference } from '../images/image-reference.ts';
import { nextState, type HardwareFacts, type Machine } from '../machines/machine.ts';
import { ago } from './fleet-page.ts';
import { formatBytes, formatMemory, formatMoment, formatSpan, formatStep } from './format.ts';
import { html, type Html } from './html.ts';
import { approveForm, machineName, machinePath, stateBadge } from './machine-name.ts';
import { page } from './page.ts';
import { timelineOf, type Phase, type Timeline, type TimelineStep } from './timeline.ts';

export interface MachineView {
  readonly machine: Machine;
  /** Of the latest boot, oldest first. */
  readonly events: readonly BootEvent[];
  readonly now: number;
}

export function machinePage(view: MachineView): string {
  const id = encodeURIComponent(view.machine.id);
  return page({
    title: machineName(view.machine),
    signedIn: true,
    body: html`<main data-fragment="/fragments/machines/${id}" data-stream="/api/v1/events/stream?machine=${id}">
      ${machineFragment(view)}
    </main>`,
  });
}

/** The part of the page that changes. */
export function machineFragment({ machine, events, now }: MachineView): Html {
  return html`<nav class="crumbs" aria-label="Breadcrumb"><a href="/">Fleet</a></nav>
    <div class="title">
      <h1>${machineName(machine)}</h1>
      ${stateBadge(machine.state)}
      <div class="actions">${approveForm(machine, 'machine')} ${retireForm(machine)}</div>
    </div>
    <p class="reason">${machine.stateReason} <span class="faint">· ${ago(machine.stateSince, now)}</span></p>
    <div class="columns">
      <section class="card" aria-labelledby="timeline-title">${timelineSection(timelineOf(events))}</section>
      <div class="side">
        <section class="card" aria-labelledby="identity-title">
          <h2 id="identity-title">Identity</h2>
          ${factList(identityFacts(machine, now))}
        </section>
        <section class="card" aria-labelledby="hardware-title">
          <h2 id="hardware-title">Hardware</h2>
          ${factList(hardwareFacts(machine.facts))}
        </section>
      </div>
    </div>`;
}

function retireForm(machine: Machine): Html | undefined {
  if (nextState(machine.state, 'retire') === undefined) return undefined;
  return html`<details class="confirm" id="retire-${machine.id}">
    <summary class="button quiet">Retire…</summary>
    <form method="post" action="${machinePath(machine)}/retire">
      <p>It will boot its own disk, and may join no more until it is brought back.</p>
      <button type="submit" class="danger">Retire ${machineName(machine)}</button>
    </form>
  </details>`;
}

function timelineSection(timeline: Timeline): Html {
  if (timeline.steps.length === 0) {
    return html`<h2 id="timeline-title">Latest boot</h2>
      <p class="faint">Nothing has happened yet. Let the machine boot from the network, and watch it here.</p>`;
  }
  const [first] = timeline.steps;
  const { totalMs, isComplete } = timeline;
  return html`<div class="timeline-head">
      <h2 id="timeline-title">Latest boot</h2>
      <p class="total" data-complete="${isComplete ? 'yes' : 'no'}">
        <strong>${formatSpan(totalMs)}</strong> ${isComplete ? 'from first call to active' : 'so far'}
      </p>
    </div>
    ${shareBar(timeline)}
    <ol class="timeline">
      ${timeline.steps.map((step) => timelineStep(step, step.at - (first?.at ?? 0)))}
    </ol>`;
}

/** Where the time went, as a bar a thousand units wide. */
function shareBar({ shares, totalMs }: Timeline): Html | undefined {
  if (totalMs === 0 || shares.length === 0) return undefined;
  const unit = (milliseconds: number): string => ((milliseconds / totalMs) * 1000).toFixed(1);
  const sums = new Map<Phase, number>();
  for (const { phase, lengthMs } of shares) sums.set(phase, (sums.get(phase) ?? 0) + lengthMs);
  return html`<svg class="shares" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
      ${shares.map(
        ({ phase, startMs, lengthMs }) =>
          html`<rect data-phase="${phase}" x="${unit(startMs)}" width="${unit(lengthMs)}" height="10"></rect>`,
      )}
    </svg>
    <ul class="legend" aria-label="Where the time went">
      ${Array.from(sums, ([phase, sum]) => html`<li data-phase="${phase}">${phase} <b>${formatSpan(sum)}</b></li>`)}
    </ul>`;
}

function timelineStep(step: TimelineStep, sinceStartMs: number): Html {
  return html`<li data-key="${step.key}" data-version="${step.count}" data-phase="${step.phase}">
    <span class="step-label">${step.label}</span>
    <span class="step-text">
      ${step.sentence} ${step.count > 1 && html`<span class="times">× ${step.count}</span>`}
      ${step.detail !== undefined && html`<span class="step-detail">${step.detail}</span>`}
    </span>
    <time class="step-time" datetime="${new Date(step.at).toISOString()}" title="${formatMoment(step.at)} UTC">
      <span class="since-start">${formatSpan(sinceStartMs)}</span>
      <span class="since-previous">${sinceStartMs > 0 && `+${formatStep(step.sincePreviousMs)}`}</span>
    </time>
  </li>`;
}

type Fact = readonly [name: string, value: Html | string | undefined];

function factList(facts: readonly Fact[]): Html {
  const known = facts.filter(([, value]) => value !== undefined && value !== '');
  if (known.length === 0) return html`<p class="faint">Known once the machine has enrolled.</p>`;
  return html`<dl>
    ${known.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

function identityFacts(machine: Machine, now: number): readonly Fact[] {
  const labels = Object.entries(machine.labels);
  return [
    ['Id', mono(machine.id)],
    ['MAC', html`${machine.macs.map((mac) => html`<span class="mono line">${mac}</span>`)}`],
    ['Address', mono(machine.address)],
    ['UUID', mono(machine.uuid)],
    ['Serial', mono(machine.serial)],
    ['Boots as', machine.architecture],
    ['Profile', machine.profile],
    ['Image', machine.image && shortReference(machine.image)],
    ['Certificate', mono(machine.certificateSerial)],
    ['Config', mono(machine.configDigest?.replace('sha256:', '').slice(0, 16))],
    ['Labels', labels.length === 0 ? undefined : html`${labels.map(label)}`],
    ['First seen', ago(machine.createdAt, now)],
    ['Last seen', ago(machine.lastSeenAt, now)],
  ];
}

function hardwareFacts(facts: HardwareFacts): readonly Fact[] {
  const { cpu, cpuCount, memoryBytes, disks = [] } = facts;
  const cores = cpuCount === undefined ? undefined : `${cpuCount} ×`;
  return [
    ['Vendor', facts.vendor],
    ['Product', facts.product],
    ['Processor', [cores, cpu ?? (cores && 'processor')].filter((part) => part !== undefined).join(' ')],
    ['Memory', memoryBytes === undefined ? undefined : formatMemory(memoryBytes)],
    ['Disks', disks.length === 0 ? undefined : html`${disks.map(diskLine)}`],
    ['Firmware', facts.firmware?.toUpperCase()],
    ['System', facts.architecture],
  ];
}

function diskLine(disk: NonNullable<HardwareFacts['disks']>[number]): Html {
  return html`<span class="line">
    <span class="mono">${disk.name}</span> ${formatBytes(disk.sizeBytes)} <span class="faint">${disk.model}</span>
  </span>`;
}

function label([name, value]: readonly [string, string]): Html {
  return html`<span class="label">${name}=${value}</span> `;
}

function mono(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : html`<span class="mono">${text}</span>`;
}
