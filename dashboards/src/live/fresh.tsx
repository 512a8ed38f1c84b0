/** How fresh the picture is, and the mall's clock. */
import { beat, now_ms, serverNow_ms, speed } from '../clock';
import { count, day, length, timeWithSeconds } from '../format';
import { freshness, type Freshness } from './state';
import { state } from './store';
import { words } from './words';

/** Looked at every second, because a picture ages without anything happening. */
export function fresh(): Freshness {
  void beat.value;
  return freshness(state.value, serverNow_ms());
}

export function Pill() {
  const { grade, age_ms } = fresh();
  return (
    <span class={`pill ${grade}`} data-grade={grade}>
      <i aria-hidden="true" />
      <span>{words.value.grades[grade]}</span>
      {grade !== 'waiting' && <span class="age">{length(age_ms)}</span>}
    </span>
  );
}

export function Banner() {
  const { grade, age_ms, cause } = fresh();
  const { causes, shownIsOld } = words.value;
  const worthSaying = cause !== null && (grade === 'stale' || grade === 'waiting' || cause === 'offline');
  return (
    <div role="status">
      {worthSaying && (
        <p class="notice stale-banner" data-cause={cause}>
          <strong>{causes[cause]}</strong> {grade !== 'waiting' && shownIsOld(length(age_ms))}
        </p>
      )}
    </div>
  );
}

export function MallClock() {
  if (!state.value.frame) return null;
  const at_ms = now_ms();
  const times = speed();
  return (
    <span class="clock">
      <span class="unseen">{words.value.clock}</span>
      <span class="clock-day">{day(at_ms)}</span>
      <time dateTime={new Date(at_ms).toISOString()}>{timeWithSeconds(at_ms)}</time>
      {times !== 1 && (
        <span class="clock-speed" title={words.value.speedHint}>
          {words.value.speed(count(times))}
        </span>
      )}
    </span>
  );
}
