/** What happens in the mall, newest first; never fewer than k members behind a line. */
import { computed } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { FeedLine } from '../contract';
import { count, timeOfDay } from '../format';
import { Arrival, Departure, Place, Rise, Tick, Ticket } from '../icons';
import { called } from '../language';
import { state } from './store';
import { words, type FeedKind } from './words';

// A hundred lines need not be drawn again for every picture, only when one came.
const lines = computed(() => state.value.feed);
const plan = computed(() => state.value.plan);
const k = computed(() => state.value.frame?.k ?? null);

const SIGNS: Record<FeedKind, ComponentChildren> = {
  'visit.started': <Arrival />,
  'zone.entered': <Place size={18} />,
  'coupon.issued': <Ticket size={18} />,
  'coupon.redeemed': <Tick size={18} />,
  'coupon.superseded': <Rise />,
  'visit.ended': <Departure />,
};

const isKnown = (kind: string): kind is FeedKind => kind in SIGNS;

function sentence(line: FeedLine): string {
  if (!isKnown(line.kind)) return line.kind;
  const zone = plan.value?.zones.find((one) => one.key === line.zone);
  const what = line.title ? called(line.title) : zone ? called(zone.name) : (line.offer ?? line.zone ?? '');
  return words.value.kinds[line.kind](count(line.members), what);
}

// A screen reader must be able to finish a sentence before the next one starts.
const SPEAK_EVERY_MS = 15_000;

/** Reads out the newest line, now and then. */
function Spoken({ text }: { text: string }) {
  const newest = useRef(text);
  newest.current = text;
  const [said, say] = useState('');
  useEffect(() => {
    const now = setInterval(() => say(newest.current), SPEAK_EVERY_MS);
    return () => clearInterval(now);
  }, []);
  return (
    <p class="unseen" aria-live="polite">
      {said}
    </p>
  );
}

export function Feed() {
  const feed = lines.value;
  const say = words.value;
  const newest = feed[0];
  return (
    <section class="feed card" aria-labelledby="feed">
      <header>
        <h2 id="feed">{say.feed}</h2>
        {k.value !== null && <p class="hint">{say.feedHint(k.value)}</p>}
      </header>
      {feed.length === 0 ? (
        <p class="empty">{say.feedEmpty}</p>
      ) : (
        <ul class="scroll" tabIndex={0} aria-labelledby="feed">
          {feed.map((line) => (
            <li key={line.id} class={line.kind.replace('.', '-')}>
              <time dateTime={new Date(line.at_ms).toISOString()}>{timeOfDay(line.at_ms)}</time>
              {isKnown(line.kind) && SIGNS[line.kind]}
              <span>{sentence(line)}</span>
            </li>
          ))}
        </ul>
      )}
      <Spoken text={newest ? sentence(newest) : ''} />
    </section>
  );
}
