/** Light or dark: the system's choice until the visitor makes one. */
import { computed, effect, signal } from '@preact/signals';

export type Theme = 'light' | 'dark';

const REMEMBERED = 'sojourn.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

const chosen = signal<string | null>(localStorage.getItem(REMEMBERED));
const systemDark = signal(system.matches);
system.addEventListener('change', () => (systemDark.value = system.matches));

export const theme = computed<Theme>(() =>
  chosen.value === 'light' || chosen.value === 'dark' ? chosen.value : systemDark.value ? 'dark' : 'light',
);

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function turnTheme(): void {
  chosen.value = theme.value === 'dark' ? 'light' : 'dark';
  localStorage.setItem(REMEMBERED, chosen.value);
}
