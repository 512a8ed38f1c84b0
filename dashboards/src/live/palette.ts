/** From members per cell to a colour, through cividis: even steps of lightness, for all kinds of colour vision. */
import type { Theme } from '../theme';

type Colour = readonly [red: number, green: number, blue: number];

const CIVIDIS: readonly Colour[] = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
  [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56],
]; // prettier-ignore

// Few members glow faintly and many plainly, so the plan stays readable below; nobody is no colour at all. It starts
// steeply, so that the first members are seen, and yet at nothing: an edge would look like a wall.
const STRONGEST = 0.92;
const FULL_AT = 0.4;
const STEEPNESS = 0.7;

const alpha = (fraction: number) => STRONGEST * Math.min(1, fraction / FULL_AT) ** STEEPNESS;

/** fraction 0..1 of the scale; on a light ground more is darker, on a dark ground more is brighter. */
export function colourOf(fraction: number, theme: Theme): readonly [...Colour, alpha: number] {
  const along = (theme === 'dark' ? fraction : 1 - fraction) * (CIVIDIS.length - 1);
  const low = CIVIDIS[Math.min(CIVIDIS.length - 1, Math.floor(along))]!;
  const high = CIVIDIS[Math.min(CIVIDIS.length - 1, Math.floor(along) + 1)]!;
  const part = along % 1;
  const mix = (i: 0 | 1 | 2) => Math.round(low[i] + (high[i] - low[i]) * part);
  return [mix(0), mix(1), mix(2), alpha(fraction)];
}

export function gradient(theme: Theme): string {
  const stops = Array.from({ length: 17 }, (_, i) => {
    const [red, green, blue, opacity] = colourOf(i / 16, theme);
    return `rgb(${red} ${green} ${blue} / ${(opacity * 100).toFixed(0)}%)`;
  });
  return `linear-gradient(to right, ${stops.join(', ')})`;
}

export const STEPS = 512;

/** RGBA of STEPS + 1 fractions, as bytes. */
export function table(theme: Theme): Uint8ClampedArray {
  const bytes = new Uint8ClampedArray((STEPS + 1) * 4);
  for (let step = 0; step <= STEPS; step++) {
    const [red, green, blue, opacity] = colourOf(step / STEPS, theme);
    bytes.set([red, green, blue, Math.round(opacity * 255)], step * 4);
  }
  return bytes;
}
