/** Numbers, times and lengths of time as people read them, in the page's language and the mall's time zone. */
import { computed, type ReadonlySignal } from '@preact/signals';
import { timezone } from './clock';
import { language, type Language } from './language';

/** Made again only when the language or the zone changes: making one is slow, using it is not. */
function format(options: Intl.DateTimeFormatOptions): ReadonlySignal<Intl.DateTimeFormat> {
  return computed(
    () => new Intl.DateTimeFormat(language.value, { ...options, timeZone: timezone.value, hourCycle: 'h23' }),
  );
}

const HOUR_MINUTE = { hour: '2-digit', minute: '2-digit' } as const;
const clockFormat = format(HOUR_MINUTE);
const secondsFormat = format({ ...HOUR_MINUTE, second: '2-digit' });
const dayFormat = format({ weekday: 'short', day: 'numeric', month: 'short' });
const dateFormat = format({ day: 'numeric', month: 'short', year: 'numeric' });
const momentFormat = format({ day: 'numeric', month: 'short', ...HOUR_MINUTE });

export const timeOfDay = (at_ms: number) => clockFormat.value.format(at_ms);
export const timeWithSeconds = (at_ms: number) => secondsFormat.value.format(at_ms);
export const day = (at_ms: number) => dayFormat.value.format(at_ms);
export const date = (at_ms: number) => dateFormat.value.format(at_ms);
export const dateAndTime = (at_ms: number) => momentFormat.value.format(at_ms);

/** The mall's hour, 0 to 23. */
export function hour(at_ms: number): number {
  const parts = clockFormat.value.formatToParts(at_ms);
  return Number(parts.find((part) => part.type === 'hour')?.value ?? 0);
}

export const count = (number: number) => number.toLocaleString(language.value);

const UNITS: Record<Language, { h: string; min: string; s: string }> = {
  en: { h: ' h', min: ' min', s: ' s' },
  'zh-Hans': { h: ' 小时', min: ' 分钟', s: ' 秒' },
};

/** "1 h 05 min", "12 min" or "40 s": the two largest units at most, never rounded up. */
export function length(ms: number): string {
  const unit = UNITS[language.value];
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)}${unit.h} ${String(minutes % 60).padStart(2, '0')}${unit.min}`;
  return minutes > 0 ? `${minutes}${unit.min}` : `${seconds}${unit.s}`;
}

/** Minor units in a unit of money. */
export const MINOR = 100;

/** An amount in minor units, as "300" or "12.50". */
export const money = (minor: number) =>
  (minor / MINOR).toLocaleString(language.value, { minimumFractionDigits: minor % MINOR ? 2 : 0 });
