/** The live page's one store: the state, what was heard from the server, and the address that leads back here. */
import { effect, signal } from '@preact/signals';
import { setClock } from '../clock';
import type { FeedLine, Frame } from '../contract';
import { ask } from '../http';
import { stillSignedIn } from '../session';
import { follow } from '../stream';
import { reduce, TOPS, USUAL_TOP, type Happening, type State } from './state';

const asked = new URLSearchParams(location.search);

export const state = signal<State>({
  plan: null,
  frame: null,
  feed: [],
  trend: [],
  link: 'connecting',
  level: asked.get('level'),
  settled: asked.has('level'),
  zone: asked.get('zone'),
  top: TOPS.find((top) => String(top) === asked.get('top')) ?? USUAL_TOP,
});

export function happen(event: Happening): void {
  state.value = reduce(state.value, event);
}

effect(() => {
  const { level, zone, top } = state.value;
  const address = new URL(location.href);
  for (const [name, value] of Object.entries({ level, zone, top: top === USUAL_TOP ? null : String(top) })) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  if (address.href !== location.href) history.replaceState(null, '', address);
});

let newest: Frame | null = null;

/** After a pause frames come in a burst; only the newest is worth drawing. */
function hearFrame(frame: Frame): void {
  if (!newest) requestAnimationFrame(showNewest);
  newest = frame;
}

function showNewest(): void {
  if (!newest) return;
  setClock(newest.clock_ms, newest.speed, newest.timezone);
  happen({ kind: 'frame', frame: newest });
  newest = null;
}

// A server that is starting answers within seconds.
const RETRY_MS = 3_000;

/** Fetches the plan, then follows the stream, until the returned function is called. */
export function start(): () => void {
  let stop = () => {};
  let left = false;
  let retry = 0;

  async function begin(): Promise<void> {
    const plan = await ask('get', '/v1/plan', {});
    if (left) return;
    if (!plan.ok) {
      happen({ kind: 'link', link: navigator.onLine ? 'lost' : 'offline' });
      retry = setTimeout(() => void begin(), RETRY_MS);
      return;
    }
    happen({ kind: 'plan', plan: plan.body });
    stop = follow({
      path: '/v1/live',
      hear: { frame: hearFrame, feed: (line: FeedLine) => happen({ kind: 'feed', line }) },
      link: (link) => {
        happen({ kind: 'link', link });
        // Any answer tells the server's time again; ours may have been set while the page slept, and ages hang on it.
        if (link === 'open') void stillSignedIn();
      },
      worthRetrying: stillSignedIn,
    });
  }

  void begin();
  return () => {
    left = true;
    clearTimeout(retry);
    stop();
  };
}
