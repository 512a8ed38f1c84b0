/** The zones as a table: the plan's numbers for keyboards, screen readers and people who want to sort. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Frame, Plan, Zone } from '../contract';
import { count, length } from '../format';
import { called, language } from '../language';
import { happen, state } from './store';
import { words } from './words';

type Column = 'zone' | 'members' | 'stay';

/** How this table is looked at: nobody else's business, so not in the page's state. */
const order = signal<{ by: Column; falling: boolean }>({ by: 'members', falling: true });
const everyLevel = signal(true);

interface Row {
  zone: Zone;
  level: string;
  members: number | null;
  stay_ms: number | null;
}

function rows(plan: Plan, frame: Frame | null): Row[] {
  const counts = new Map(frame?.zones.map((zone) => [zone.zone, zone]));
  const shorts = new Map(plan.levels.map((level) => [level.key, called(level.short_name)]));
  const { by, falling } = order.value;
  const size: Record<Column, (a: Row, b: Row) => number> = {
    zone: (a, b) => called(a.zone.name).localeCompare(called(b.zone.name), language.value),
    members: (a, b) => (a.members ?? -1) - (b.members ?? -1),
    stay: (a, b) => (a.stay_ms ?? -1) - (b.stay_ms ?? -1),
  };
  return plan.zones
    .filter((zone) => everyLevel.value || zone.level === state.value.level)
    .map((zone) => ({
      zone,
      level: shorts.get(zone.level) ?? '',
      members: counts.get(zone.key)?.members ?? null,
      stay_ms: counts.get(zone.key)?.median_dwell_ms ?? null,
    }))
    .sort((a, b) => (falling ? -1 : 1) * size[by](a, b) || size.zone(a, b));
}

function Head({ column, children, hint }: { column: Column; children: string; hint?: string }) {
  const { by, falling } = order.value;
  const sorted = by === column;
  return (
    <th scope="col" aria-sort={sorted ? (falling ? 'descending' : 'ascending') : 'none'} title={hint}>
      <button type="button" onClick={() => (order.value = { by: column, falling: sorted ? !falling : column !== 'zone' })}>
        {children}
        <i aria-hidden="true">{sorted ? (falling ? '↓' : '↑') : ''}</i>
      </button>
    </th>
  );
}

function ZoneRow({ row, most }: { row: Row; most: number }) {
  const { zone, level, members, stay_ms } = row;
  const say = words.value;
  const chosen = state.value.zone === zone.key;
  const choose = () => happen({ kind: 'zone.chosen', zone: chosen ? null : zone.key });
  const self = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (chosen) self.current?.scrollIntoView({ block: 'nearest' });
  }, [chosen]);
  return (
    <tr ref={self} class={chosen ? 'chosen' : ''} data-zone={zone.key} onClick={choose}>
      <th scope="row">
        <button
          type="button"
          aria-pressed={chosen}
          onClick={(event) => {
            event.stopPropagation();
            choose();
          }}
        >
          <span class="level-chip">{level}</span>
          <span>
            {called(zone.name)}
            {zone.no_marketing && <small>{say.noMarketing}</small>}
          </span>
        </button>
      </th>
      <td class="members">
        <i style={{ width: `${(100 * (members ?? 0)) / most}%` }} />
        {members === null ? <span class="untold">{say.untold}</span> : <span>{count(members)}</span>}
      </td>
      <td>{stay_ms === null ? say.nothing : length(stay_ms)}</td>
    </tr>
  );
}

export function ZoneTable({ plan }: { plan: Plan }) {
  const { frame } = state.value;
  const say = words.value;
  const shown = rows(plan, frame);
  const most = Math.max(1, ...(frame?.zones.map((zone) => zone.members ?? 0) ?? []));
  return (
    <section class="zones card" aria-labelledby="zones">
      <header>
        <h2 id="zones">{say.zones}</h2>
        <div class="choice" role="group" aria-label={say.levels}>
          {[true, false].map((every) => (
            <button key={String(every)} type="button" aria-pressed={everyLevel.value === every} onClick={() => (everyLevel.value = every)}>
              {every ? say.allLevels : say.thisLevel}
            </button>
          ))}
        </div>
      </header>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <Head column="zone">{say.zone}</Head>
              <Head column="members">{say.members}</Head>
              <Head column="stay" hint={say.stayHint}>
                {say.stay}
              </Head>
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <ZoneRow key={row.zone.key} row={row} most={most} />
            ))}
          </tbody>
        </table>
      </div>
      {frame && <p class="hint">{say.kHint(frame.k)}</p>}
    </section>
  );
}
