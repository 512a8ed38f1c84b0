/** The occupancy grid as a picture: members per cell between the cells, then colour, so that the legend holds everywhere. */
import type { Frame } from '../contract';
import type { Theme } from '../theme';
import { STEPS, table } from './palette';

type LevelHeat = Frame['levels'][number];

// Pixels per cell and side; the browser smooths the rest of the way, which by then is invisible.
const FINER = 4;

const tables = new Map<Theme, Uint8ClampedArray>();

function colours(theme: Theme): Uint8ClampedArray {
  const made = tables.get(theme) ?? table(theme);
  tables.set(theme, made);
  return made;
}

/** Weights of the two nearest cells for every finer pixel along one side, held at the edges. */
function between(cells: number): { low: Int32Array; high: Int32Array; part: Float32Array } {
  const size = cells * FINER;
  const low = new Int32Array(size);
  const high = new Int32Array(size);
  const part = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const at = Math.min(cells - 1, Math.max(0, (i + 0.5) / FINER - 0.5));
    low[i] = Math.floor(at);
    high[i] = Math.min(cells - 1, low[i]! + 1);
    part[i] = at - low[i]!;
  }
  return { low, high, part };
}

/** Draws *heat* into *canvas*, north up. top: members per cell where the colours end. */
export function paint(canvas: HTMLCanvasElement, heat: LevelHeat, unit_members: number, top: number, theme: Theme): void {
  const { columns, rows } = heat;
  const cells = Uint8Array.from(atob(heat.cells), (letter) => letter.charCodeAt(0));
  canvas.width = columns * FINER;
  canvas.height = rows * FINER;
  const context = canvas.getContext('2d')!;
  const image = context.createImageData(canvas.width, canvas.height);
  const rgba = colours(theme);
  const x = between(columns);
  const y = between(rows);
  const scale = (unit_members / top) * STEPS;
  let pixel = 0;
  for (let row = canvas.height - 1; row >= 0; row--) {
    const south = y.low[row]! * columns;
    const north = y.high[row]! * columns;
    const up = y.part[row]!;
    for (let column = 0; column < canvas.width; column++, pixel += 4) {
      const west = x.low[column]!;
      const east = x.high[column]!;
      const right = x.part[column]!;
      const below = cells[south + west]! * (1 - right) + cells[south + east]! * right;
      const above = cells[north + west]! * (1 - right) + cells[north + east]! * right;
      const value = below * (1 - up) + above * up;
      if (value > 0) {
        const colour = Math.min(STEPS, Math.ceil(value * scale)) * 4;
        image.data.set(rgba.subarray(colour, colour + 4), pixel);
      }
    }
  }
  context.putImageData(image, 0, 0);
}
