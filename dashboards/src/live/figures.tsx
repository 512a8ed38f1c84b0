/** The four numbers to look at first, each with what it means. */
import type { ComponentChildren } from 'preact';
import { count, length } from '../format';
import { called } from '../language';
import { state } from './store';
import { words } from './words';

function Figure({ name, hint, children, id }: { name: string; hint: string; children: ComponentChildren; id: string }) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd class="value" data-figure={id}>
        {children}
      </dd>
      <dd class="hint">{hint}</dd>
    </div>
  );
}

/** Starts at zero, so that a small wobble does not look like a rush. */
function Trend({ values }: { values: readonly (number | null)[] }) {
  const most = Math.max(1, ...values.map((value) => value ?? 0));
  const step = 120 / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(34 - (30 * (value ?? 0)) / most).toFixed(1)}`);
  return (
    <svg class="trend" viewBox="0 0 120 36" preserveAspectRatio="none" role="img" aria-label={words.value.trend}>
      {points.length > 1 && (
        <>
          <path class="trend-area" d={`M0,36L${points.join('L')}L120,36Z`} />
          <path class="trend-line" d={`M${points.join('L')}`} />
        </>
      )}
    </svg>
  );
}

export function Figures() {
  const { frame, plan, trend } = state.value;
  const say = words.value;
  const nameOf = (key: string) => called(plan?.zones.find((zone) => zone.key === key)?.name ?? {});
  const zones = frame?.zones ?? [];
  const busiest = zones.reduce((best, zone) => ((zone.members ?? 0) > (best?.members ?? 0) ? zone : best), zones[0]);
  const longest = zones.reduce(
    (best, zone) => ((zone.median_dwell_ms ?? 0) > (best?.median_dwell_ms ?? 0) ? zone : best),
    zones[0],
  );
  const sensors = plan?.sensors.length ?? 0;
  return (
    <dl class="figures card">
      <Figure id="present" name={say.present} hint={say.presentHint}>
        <span class="big">{frame ? (frame.present === null ? say.fewerThan(frame.k) : count(frame.present)) : say.nothing}</span>
        <Trend values={trend} />
      </Figure>
      <Figure id="busiest" name={say.busiest} hint={busiest?.members ? say.busiestHint(count(busiest.members)) : ''}>
        {busiest?.members ? nameOf(busiest.zone) : say.nothing}
      </Figure>
      <Figure id="longest" name={say.longest} hint={longest?.median_dwell_ms ? say.longestHint(nameOf(longest.zone)) : ''}>
        {longest?.median_dwell_ms ? length(longest.median_dwell_ms) : say.nothing}
      </Figure>
      <Figure id="sensors" name={say.sensors} hint={frame ? say.sensorsHint(frame.sensors.silent.length) : ''}>
        {frame ? say.sensorsOf(count(frame.sensors.live), count(sensors)) : say.nothing}
      </Figure>
    </dl>
  );
}
