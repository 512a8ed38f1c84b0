/** What the live page knows, and how each thing that happens changes it. */
import type { FeedLine, Frame, Plan } from '../contract';
import type { Link } from '../stream';

export interface State {
  plan: Plan | null;
  frame: Frame | null;
  /** Newest first. */
  feed: readonly FeedLine[];
  /** Members present in each frame since the page was opened, oldest first; null where fewer than k. */
  trend: readonly (number | null)[];
  link: Link;
  level: string | null;
  /** Whether somebody chose the level, or the page did for good: it opens on the fullest, and does not jump after. */
  settled: boolean;
  zone: string | null;
  /** Members per cell at which the heat's colours end. Fixed, so that equal colours mean equal numbers over time. */
  top: number;
}

export type Happening =
  | { kind: 'plan'; plan: Plan }
  | { kind: 'frame'; frame: Frame }
  | { kind: 'feed'; line: FeedLine }
  | { kind: 'link'; link: Link }
  | { kind: 'level.chosen'; level: string }
  | { kind: 'zone.chosen'; zone: string | null }
  | { kind: 'top.chosen'; top: number };

export const TOPS = [0.1, 0.25, 0.5, 1, 2] as const;
// One member on 16 m²: a shop with that many is full of them, and the usual hour lies well inside the scale.
export const USUAL_TOP = 0.25;

const LINES_SHOWN = 100;
const TREND_FRAMES = 300;

export function reduce(state: State, event: Happening): State {
  switch (event.kind) {
    case 'plan': {
      const known = event.plan.levels.some((level) => level.key === state.level);
      return { ...state, plan: event.plan, level: known ? state.level : ground(event.plan) };
    }
    case 'frame': {
      const { frame } = event;
      const full = state.settled ? null : fullest(frame);
      const opened = full ? { level: full, settled: true } : {};
      return { ...state, ...opened, frame, trend: [...state.trend, frame.present].slice(-TREND_FRAMES) };
    }
    case 'feed':
      // A stream that was opened again tells its last lines again.
      if (state.feed.some((line) => line.id === event.line.id)) return state;
      return { ...state, feed: [event.line, ...state.feed].slice(0, LINES_SHOWN) };
    case 'link':
      return { ...state, link: event.link };
    case 'level.chosen':
      return { ...state, level: event.level, settled: true, zone: null };
    case 'zone.chosen': {
      const level = state.plan?.zones.find((zone) => zone.key === event.zone)?.level ?? state.level;
      return { ...state, zone: event.zone, level, settled: true };
    }
    case 'top.chosen':
      return { ...state, top: event.top };
  }
}

/** The level with the most members, if any has enough to be told. */
function fullest(frame: Frame): string | null {
  const told = frame.levels.filter((level) => level.members !== null);
  return told.sort((a, b) => b.members! - a.members!)[0]?.level ?? null;
}

/** The level nearest to the street. */
function ground(plan: Plan): string | null {
  const nearest = [...plan.levels].sort((a, b) => Math.abs(a.ordinal) - Math.abs(b.ordinal))[0];
  return nearest?.key ?? null;
}

export type Grade = 'waiting' | 'live' | 'delayed' | 'stale';
/** Why the picture is old: no network here, no stream, no new picture in it, no sensor heard, or the engine is behind. */
export type Cause = 'offline' | 'stream' | 'engine' | 'sensors' | 'behind';
export interface Freshness {
  grade: Grade;
  age_ms: number;
  cause: Cause | null;
}

const DELAYED_MS = 5_000;
const STALE_MS = 30_000;

/** How old the shown picture is at the server's wall time *now_ms*, and whose fault that is. */
export function freshness({ frame, link }: State, now_ms: number): Freshness {
  const cut: Cause | null = link === 'offline' ? 'offline' : link === 'lost' ? 'stream' : null;
  if (!frame) return { grade: 'waiting', age_ms: 0, cause: cut };
  const onTheWay_ms = Math.max(0, now_ms - frame.sent_real_ms);
  const behind_ms = Math.max(0, frame.clock_ms - frame.at_ms) / frame.speed;
  const age_ms = onTheWay_ms + behind_ms;
  const grade = age_ms < DELAYED_MS ? 'live' : age_ms < STALE_MS ? 'delayed' : 'stale';
  if (grade === 'live') return { grade, age_ms, cause: cut };
  if (cut) return { grade, age_ms, cause: cut };
  if (onTheWay_ms >= DELAYED_MS) return { grade, age_ms, cause: link === 'open' ? 'engine' : 'stream' };
  return { grade, age_ms, cause: frame.sensors.live === 0 ? 'sensors' : 'behind' };
}
