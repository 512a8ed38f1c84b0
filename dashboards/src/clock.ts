/** The mall's clock. It may run faster than real time, so an answer of the server sets it and the page keeps it going. */
import { signal } from '@preact/signals';

interface Setting {
  at_ms: number;
  speed: number;
  /** What performance.now() read when at_ms was true; it never jumps, the computer's clock may. */
  anchor: number;
}

const setting = signal<Setting | null>(null);

/** Where the mall is, for times of day; until the server has said so, where the browser is. */
export const timezone = signal(Intl.DateTimeFormat().resolvedOptions().timeZone);

export function setClock(at_ms: number, speed: number, zone: string): void {
  setting.value = { at_ms, speed, anchor: performance.now() };
  timezone.value = zone;
}

/** Counts real seconds while the page is seen; reading it makes a view follow the clock. */
export const beat = signal(0);
setInterval(() => {
  if (!document.hidden) beat.value += 1;
}, 1000);
document.addEventListener('visibilitychange', () => (beat.value += 1));

/** Mall time, ms since the epoch. A view that calls this is drawn again every second. */
export function now_ms(): number {
  void beat.value;
  const { at_ms, speed, anchor } = setting.value ?? { at_ms: Date.now(), speed: 1, anchor: performance.now() };
  return at_ms + (performance.now() - anchor) * speed;
}

export function speed(): number {
  return setting.value?.speed ?? 1;
}

let skew_ms = 0;

/** *date* is an HTTP Date header: whole seconds, so half of one is the best guess of the rest. */
export function noteServerDate(date: string | null): void {
  const server_ms = Date.parse(date ?? '');
  if (Number.isFinite(server_ms)) skew_ms = Date.now() - (server_ms + 500);
}

/** The server's wall clock, within a second; the computer's own may be minutes off. */
export const serverNow_ms = () => Date.now() - skew_ms;
