/** The floor plan with what floats over it: levels, zoom, legend. */
import { useEffect, useRef } from 'preact/hooks';
import type { Frame, Plan } from '../contract';
import { count } from '../format';
import { Frame as FrameIcon, Mark, Minus, Plus } from '../icons';
import { called } from '../language';
import { theme } from '../theme';
import { fresh } from './fresh';
import { FloorPlan, type Label } from './map';
import { gradient } from './palette';
import { TOPS } from './state';
import { happen, state } from './store';
import { words } from './words';

function Levels({ plan, frame }: { plan: Plan; frame: Frame | null }) {
  const most = Math.max(1, ...(frame?.levels.map((level) => level.members ?? 0) ?? []));
  const fromTheTop = [...plan.levels].sort((a, b) => b.ordinal - a.ordinal);
  return (
    <div class="levels floating" role="group" aria-label={words.value.levels}>
      {fromTheTop.map((level) => {
        const members = frame?.levels.find((one) => one.level === level.key)?.members;
        const text = members === null ? words.value.untold : members === undefined ? '' : count(members);
        return (
          <button
            key={level.key}
            type="button"
            aria-pressed={level.key === state.value.level}
            title={called(level.name)}
            onClick={() => happen({ kind: 'level.chosen', level: level.key })}
          >
            <span class="level-name">{called(level.short_name)}</span>
            <span class={`level-count${members === null ? ' untold' : ''}`}>{text}</span>
            <span class="unseen">{words.value.members}</span>
            <i style={{ width: `${(100 * (members ?? 0)) / most}%` }} />
          </button>
        );
      })}
    </div>
  );
}

function Legend({ frame }: { frame: Frame | null }) {
  const { top } = state.value;
  const say = words.value;
  const area_m2 = (frame?.cell_m ?? 2) ** 2;
  return (
    <div class="legend">
      <div class="scale">
        <span>{say.legend(count(area_m2))}</span>
        <span>0</span>
        <i class="ramp" style={{ backgroundImage: gradient(theme.value) }} />
        <label>
          <span class="unseen">{say.legendTop}</span>
          <select
            value={String(top)}
            onChange={(event) => happen({ kind: 'top.chosen', top: Number(event.currentTarget.value) })}
          >
            {TOPS.map((one) => (
              <option key={one} value={String(one)}>
                ≥ {count(one)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <ul class="keys">
        <li>
          <i class="none" />
          {say.legendNone}
        </li>
        <li>
          <i class="silent" />
          {say.legendSilent}
        </li>
      </ul>
    </div>
  );
}

/** What stands on each zone of the plan: its name, and its count where that may be told. The same map as before while every word of it is. */
function useLabels(plan: Plan, frame: Frame | null): ReadonlyMap<string, Label> {
  const kept = useRef<{ text: string; labels: ReadonlyMap<string, Label> } | null>(null);
  const counts = new Map(frame?.zones.map((zone) => [zone.zone, zone.members === null ? '' : count(zone.members)]));
  const labels = plan.zones.map((zone) => [zone.key, [called(zone.name), counts.get(zone.key) ?? '']] as const);
  const text = JSON.stringify(labels);
  if (kept.current?.text !== text) kept.current = { text, labels: new Map(labels) };
  return kept.current.labels;
}

export function PlanView({ plan }: { plan: Plan }) {
  const target = useRef<HTMLDivElement>(null);
  const map = useRef<FloorPlan | null>(null);
  const { frame, level, zone, top } = state.value;
  const stale = fresh().grade === 'stale';
  const levelName = plan.levels.find((one) => one.key === level)?.name ?? {};

  const labels = useLabels(plan, frame);

  useEffect(() => {
    const drawn = new FloorPlan(target.current!, plan, (key) => happen({ kind: 'zone.chosen', zone: key }));
    map.current = drawn;
    return () => drawn.leave();
  }, [plan]);

  useEffect(() => {
    if (!level) return;
    map.current?.show({
      level,
      heat: frame?.levels.find((one) => one.level === level) ?? null,
      unit_members: frame?.unit_members ?? 0,
      cell_m: frame?.cell_m ?? 1,
      top,
      silent: frame?.sensors.silent ?? [],
      selected: zone,
      labels,
      theme: theme.value,
    });
  }, [plan, frame, level, zone, top, theme.value, labels]);

  return (
    <section class={`plan card${stale ? ' stale' : ''}`}>
      <div class="sight">
        <div ref={target} class="map" tabIndex={0} role="application" aria-label={words.value.plan(called(levelName))} />
        <Levels plan={plan} frame={frame} />
        {frame?.present === null && frame.sensors.live > 0 && (
          <div class="nobody floating">
            <Mark />
            <div>
              <strong>{words.value.nobody}</strong>
              <p>{words.value.nobodyHint(frame.k)}</p>
            </div>
          </div>
        )}
      </div>
      <footer>
        <Legend frame={frame} />
        <div class="zoom">
          <button type="button" aria-label={words.value.zoomIn} title={words.value.zoomIn} onClick={() => map.current?.zoom(1)}>
            <Plus />
          </button>
          <button type="button" aria-label={words.value.zoomOut} title={words.value.zoomOut} onClick={() => map.current?.zoom(-1)}>
            <Minus />
          </button>
          <button type="button" aria-label={words.value.fit} title={words.value.fit} onClick={() => map.current?.fit()}>
            <FrameIcon />
          </button>
        </div>
      </footer>
    </section>
  );
}
