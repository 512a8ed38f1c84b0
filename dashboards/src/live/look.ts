/** How the plan's parts are painted. Colours are read from the page's style, so that both themes stand in one place. */
import Style from 'ol/style/Style';
import Fill from 'ol/style/Fill';
import Stroke from 'ol/style/Stroke';
import Text from 'ol/style/Text';

export interface Look {
  ground: Style;
  zone: Style;
  chosenZone: Style[];
  silence: Style;
  void: Style;
  way: (kind: string) => Style;
  label: (name: string, count: string, chosen: boolean, fits: Fits) => Style | undefined;
}

/** Whether a text so many pixels wide and high has room where it belongs. */
export type Fits = (width_px: number, height_px: number) => boolean;

// From what reads well to what still reads; where not even that has room, the table has the name.
const SIZES_PX = [12.5, 11, 9.5];
const LINE_HEIGHT = 1.25;

/** Signs for the ways between levels, 16 units square. */
const SIGNS: Record<string, string> = {
  stairs: 'M2 13h3v-3h3V7h3V4h3',
  lift: 'M4 2h8v12H4zM6.5 7 8 5l1.5 2M6.5 9.500l1.5 2 1.5-2',
  escalator: 'M2 12h3l6-7h3M11 11.500V8.500M9.5 10l1.5-1.5 1.5 1.5',
  entrance: 'M8 2v9M4.5 7.5 8 11l3.5-3.500M3 14h10',
};

const HATCH_PX = 8;

function hatch(colour: string): CanvasPattern {
  const canvas = document.createElement('canvas');
  const ratio = devicePixelRatio;
  canvas.width = canvas.height = Math.round(HATCH_PX * ratio);
  const context = canvas.getContext('2d')!;
  const side = canvas.width;
  context.strokeStyle = colour;
  context.lineWidth = 1.4 * ratio;
  context.beginPath();
  for (const shift of [-side, 0, side]) {
    context.moveTo(shift - ratio, side + ratio);
    context.lineTo(shift + side + ratio, -ratio);
  }
  context.stroke();
  return context.createPattern(canvas, 'repeat')!;
}

function sign(path: string, ink: string, plate: string): Style {
  const drawing = new Path2D(path);
  return new Style({
    renderer: (pixel, { context, pixelRatio }) => {
      const [x, y] = pixel as number[];
      context.save();
      context.translate(x!, y!);
      context.scale(pixelRatio, pixelRatio);
      context.beginPath();
      context.roundRect(-10, -10, 20, 20, 6);
      context.fillStyle = plate;
      context.fill();
      context.translate(-8, -8);
      context.strokeStyle = ink;
      context.lineWidth = 1.5;
      context.lineCap = context.lineJoin = 'round';
      context.stroke(drawing);
      context.restore();
    },
  });
}

// A shop front is rarely wider than this many letters at the size where the whole plan is seen.
const LONG_NAME = 8;

/** A long name in two lines, parted at the space nearest to its middle. */
function folded(name: string): string[] {
  if (name.length <= LONG_NAME) return [name];
  const spaces = [...name.matchAll(/ /g)].map((space) => space.index);
  const middle = name.length / 2;
  const at = spaces.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0];
  return at === undefined ? [name] : [name.slice(0, at), name.slice(at + 1)];
}

const measuring = document.createElement('canvas').getContext('2d')!;

function widthOf(text: string, font: string): number {
  measuring.font = font;
  return measuring.measureText(text).width;
}

export function drawnAs(element: HTMLElement): Look {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--map-${name}`).trim();
  const family = style.fontFamily;
  const [ink, soft, halo] = [colour('ink'), colour('soft'), colour('halo')];
  const signs = new Map(Object.entries(SIGNS).map(([kind, path]) => [kind, sign(path, soft, colour('plate'))]));
  const accent = colour('accent');

  function label(name: string, count: string, chosen: boolean, fits: Fits): Style | undefined {
    const texts = folded(name);
    const fonts = [...texts.map(() => (chosen ? 700 : 600)), ...(count ? [500] : [])];
    if (count) texts.push(count);
    const size_px = SIZES_PX.find((size) => {
      const widths = texts.map((text, i) => widthOf(text, `${fonts[i]} ${size}px ${family}`));
      return fits(Math.max(...widths), texts.length * size * LINE_HEIGHT);
    });
    // Whoever chose a zone wants its name, over whatever it lies.
    if (size_px === undefined && !chosen) return undefined;
    const lines = texts.map((text, i) => [text, `${fonts[i]} ${size_px ?? SIZES_PX[0]}px ${family}`]);
    return new Style({
      text: new Text({
        text: lines.flatMap((line, i) => (i === 0 ? line : ['\n', '', ...line])),
        fill: new Fill({ color: ink }),
        stroke: new Stroke({ color: halo, width: 4 }),
        overflow: true,
        padding: [1, 1, 1, 1],
      }),
      // Where two names have no room beside each other, the fuller zone keeps its own.
      zIndex: chosen ? Infinity : Number(count.replace(/\D/g, '')),
    });
  }

  return {
    ground: new Style({ fill: new Fill({ color: colour('ground') }), stroke: new Stroke({ color: colour('wall'), width: 2 }) }),
    zone: new Style({ fill: new Fill({ color: colour('zone') }), stroke: new Stroke({ color: colour('line'), width: 1.2 }) }),
    chosenZone: [
      new Style({ stroke: new Stroke({ color: halo, width: 7 }) }),
      new Style({ fill: new Fill({ color: colour('zone') }), stroke: new Stroke({ color: accent, width: 3 }) }),
    ],
    silence: new Style({ fill: new Fill({ color: hatch(colour('hatch')) }) }),
    void: new Style({ fill: new Fill({ color: colour('void') }), stroke: new Stroke({ color: colour('wall'), width: 2 }) }),
    way: (kind) => signs.get(kind) ?? signs.get('entrance')!,
    label,
  };
}
