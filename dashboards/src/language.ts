/** Which language the page speaks. Every dictionary has both, or does not compile. */
import { computed, effect, signal, type ReadonlySignal } from '@preact/signals';

export type Language = 'en' | 'zh-Hans';
/** A name of the mall's own, by language. */
export type Names = Record<string, string>;

const REMEMBERED = 'sojourn.language';

function known(tag: string | null): Language | null {
  if (!tag) return null;
  return /^zh\b/i.test(tag) ? 'zh-Hans' : /^en\b/i.test(tag) ? 'en' : null;
}

/** A link that names a language wins over the remembered choice, and that over the browser's. */
const first =
  known(new URLSearchParams(location.search).get('lang')) ??
  known(localStorage.getItem(REMEMBERED)) ??
  known(navigator.languages.find(known) ?? null) ??
  'en';

export const language = signal<Language>(first);

effect(() => {
  document.documentElement.lang = language.value;
});

export function speak(chosen: Language): void {
  language.value = chosen;
  localStorage.setItem(REMEMBERED, chosen);
  const address = new URL(location.href);
  address.searchParams.set('lang', chosen);
  history.replaceState(null, '', address);
}

/** The dictionary of the current language. The second must have every key of the first. */
export function bilingual<Words>(en: Words, zh: NoInfer<Words>): ReadonlySignal<Words> {
  return computed(() => (language.value === 'en' ? en : zh));
}

/** A name in the current language; a mall may have written it in English alone. */
export function called(names: Names): string {
  return names[language.value] ?? names['en'] ?? '';
}
