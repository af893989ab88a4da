// The fleet: how many machines are in which state, and one row for each with the last that happened to it.
import { describeEvent, type BootEvent } from '../events/boot-event.ts';
import { shortReference } from '../images/image-reference.ts';
import { MACHINE_STATES, type Machine, type MachineState } from '../machines/machine.ts';
import { formatAgo, formatMoment } from './format.ts';
import { html, type Html } from './html.ts';
import { approveForm, machineName, machinePath, stateBadge } from './machine-name.ts';
import { page } from './page.ts';

export interface FleetView {
  readonly counts: Readonly<Record<MachineState, number>>;
  /** Undefined shows all. */
  readonly state?: MachineState;
  /** The newest activity first, perhaps not all. */
  readonly rows: readonly { readonly machine: Machine; readonly latest: BootEvent | undefined }[];
  readonly hasImages: boolean;
  readonly now: number;
}

export function fleetPage(view: FleetView): string {
  const fragment = view.state === undefined ? '/fragments/machines' : `/fragments/machines?state=${view.state}`;
  return page({
    title: 'Fleet',
    signedIn: true,
    body: html`<main data-fragment="${fragment}" data-stream="/api/v1/events/stream">${fleetFragment(view)}</main>`,
  });
}

/** The part of the page that changes. */
export function fleetFragment(view: FleetView): Html {
  const total = MACHINE_STATES.reduce((sum, state) => sum + view.counts[state], 0);
  return html`<h1 class="visually-hidden">Fleet</h1>
    ${stateTiles(view, total)} ${total === 0 ? emptyFleet(view.hasImages) : machineTable(view, total)}`;
}

function stateTiles(view: FleetView, total: number): Html {
  const tile = (label: string, count: number, href: string, state: MachineState | undefined): Html =>
    html`<li>
      <a
        href="${href}"
        class="tile${count === 0 ? ' none' : ''}"
        data-state="${state ?? 'all'}"
        ${view.state === state && html`aria-current="true"`}
        ><span class="tile-count">${count}</span> <span class="tile-label">${label}</span></a
      >
    </li>`;
  return html`<nav aria-label="Machines by state">
    <ul class="tiles">
      ${tile('machines', total, '/', undefined)}
      ${MACHINE_STATES.map((state) => tile(state, view.counts[state], `/?state=${state}`, state))}
    </ul>
  </nav>`;
}

function machineTable(view: FleetView, total: number): Html {
  const wanted = view.state === undefined ? total : view.counts[view.state];
  if (view.rows.length === 0) {
    return html`<section class="card empty">
      <p>No machine is ${view.state} now.</p>
      <p><a href="/">Show all ${total}</a></p>
    </section>`;
  }
  return html`<section class="card table-card">
    <table>
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Machine</th>
          <th scope="col">Profile</th>
          <th scope="col">Image</th>
          <th scope="col">Stage</th>
          <th scope="col">Last seen</th>
          <th scope="col"><span class="visually-hidden">Action</span></th>
        </tr>
      </thead>
      <tbody>
        ${view.rows.map((row) => machineRow(row, view.now))}
      </tbody>
    </table>
    ${view.rows.length < wanted && html`<p class="more">The ${view.rows.length} seen last, of ${wanted}.</p>`}
  </section>`;
}

function machineRow({ machine, latest }: FleetView['rows'][number], now: number): Html {
  const [mac] = machine.macs;
  const stage = latest === undefined ? machine.stateReason : describeEvent(latest);
  return html`<tr data-key="${machine.id}" data-version="${latest?.seq ?? 0}-${machine.state}">
    <td class="cell-state">${stateBadge(machine.state)}</td>
    <th scope="row" class="cell-name">
      <a href="${machinePath(machine)}" id="name-${machine.id}">${machineName(machine)}</a>
      ${machine.hostname !== undefined && html`<span class="mono faint">${mac}</span>`}
    </th>
    ${textCell('Profile', machine.profile)} ${textCell('Image', machine.image && shortReference(machine.image))}
    <td class="cell-stage" data-label="Stage"><span class="clip" title="${stage}">${stage}</span></td>
    <td class="cell-seen" data-label="Last seen">${ago(machine.lastSeenAt, now)}</td>
    <td class="cell-action">${approveForm(machine, 'fleet')}</td>
  </tr>`;
}

function textCell(label: string, text: string | undefined): Html {
  return html`<td data-label="${label}" class="${text === undefined ? 'cell-none' : 'cell-text'}">
    ${text === undefined ? html`<span class="faint" aria-label="none">–</span>` : html`<span class="clip">${text}</span>`}
  </td>`;
}

/** A moment as time that has passed; the page's script keeps it true. */
export function ago(at: number, now: number): Html {
  return html`<time datetime="${new Date(at).toISOString()}" title="${formatMoment(at)} UTC" data-ago="${at}"
    >${formatAgo(now - at)}</time
  >`;
}

function emptyFleet(hasImages: boolean): Html {
  return html`<section class="card empty">
    <h2>No machine has called yet</h2>
    <ol class="steps">
      ${
        !hasImages &&
        html`<li>
          <strong>Give Muster an image to boot.</strong>
          <pre><code>./muster images import NAME kernel=FILE initrd=FILE squashfs=FILE</code></pre>
        </li>`
      }
      <li>
        <strong>Put a machine on this network</strong>, the one that Muster listens on. Your DHCP server stays as it is:
        Muster answers beside it.
      </li>
      <li><strong>Let it boot from the network</strong>: PXE or UEFI HTTP boot, first in its boot order.</li>
      <li><strong>Switch it on.</strong> It appears here within seconds, without a reload.</li>
    </ol>
    <p class="faint">It does not? <code>./muster events --follow</code> shows what arrives on the wire.</p>
  </section>`;
}
