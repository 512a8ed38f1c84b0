/** The floor plan: zones, ways and silence drawn by OpenLayers in the mall's own metres, with the heat in between. */
import OpenMap from 'ol/Map';
import View from 'ol/View';
import Feature, { type FeatureLike } from 'ol/Feature';
import Polygon from 'ol/geom/Polygon';
import Point from 'ol/geom/Point';
import ImageLayer from 'ol/layer/Image';
import VectorLayer from 'ol/layer/Vector';
import ImageCanvas from 'ol/source/ImageCanvas';
import VectorSource from 'ol/source/Vector';
import type Style from 'ol/style/Style';
import Projection from 'ol/proj/Projection';
import { defaults as interactions } from 'ol/interaction/defaults';
import { buffer, createEmpty, extend, getHeight, getWidth, type Extent } from 'ol/extent';
import type { Coordinate } from 'ol/coordinate';
import type { Frame, Plan, Zone } from '../contract';
import type { Theme } from '../theme';
import { paint } from './heat';
import { silentAreas } from './silence';
import { drawnAs, type Look } from './look';

type LevelHeat = Frame['levels'][number];

export type Label = readonly [name: string, count: string];

/** What one drawing shows. Whoever calls show() decides; the map remembers nothing but where it looks. */
export interface Shown {
  level: string;
  heat: LevelHeat | null;
  unit_members: number;
  cell_m: number;
  top: number;
  silent: readonly string[];
  selected: string | null;
  /** By zone: its name, and the count that stands under it. The same object as long as nothing of it changes. */
  labels: ReadonlyMap<string, Label>;
  theme: Theme;
}

// Pixels kept free around the plan: its signs stand on the outline, and the level switch floats beside it, or above
// it where the page is narrow (as in plan.css).
const MARGINS = { wide: [24, 24, 24, 104], narrow: [74, 14, 18, 14] };
// What walls on both sides, and half of a sign, keep a label away by.
const WALL_PX = 4;
const SIGN_PX = 10;
const narrow = matchMedia('(max-width: 640px)');

export class FloorPlan {
  private readonly map: OpenMap;
  private readonly extent: Extent;
  private readonly grounds = new VectorSource<Feature<Polygon>>();
  private readonly zones = new VectorSource<Feature<Polygon>>();
  private readonly silences = new VectorSource<Feature<Polygon>>();
  private readonly voids = new VectorSource<Feature<Polygon>>();
  private readonly ways = new VectorSource<Feature<Point>>();
  private readonly heatCanvas = document.createElement('canvas');
  private readonly heatSource: ImageCanvas;
  private readonly ground: VectorLayer;
  private readonly silence: VectorLayer;
  private readonly nothing: VectorLayer;
  private readonly zone: VectorLayer;
  private readonly way: VectorLayer;
  private readonly label: VectorLayer;
  private shown: Shown | null = null;
  private look: Look;
  private moved = false;
  private readonly room: ResizeObserver;

  constructor(
    private readonly target: HTMLElement,
    private readonly plan: Plan,
    choose: (zone: string | null) => void,
  ) {
    const extent = plan.levels
      .flatMap((level) => level.outline)
      .reduce((all, ring) => extend(all, new Polygon([ring]).getExtent()), createEmpty());
    this.extent = extent;
    const projection = new Projection({ code: `plan:${plan.site}`, units: 'm', extent });
    this.heatSource = new ImageCanvas({
      projection,
      ratio: 1,
      canvasFunction: (seen, resolution, pixelRatio, size) => this.drawHeat(seen, resolution, pixelRatio, size),
    });
    this.look = drawnAs(target);
    const named = (style: (zone: string) => Style | Style[]) => (feature: FeatureLike) => style(feature.getId() as string);
    const label = (feature: FeatureLike, resolution: number) => this.labelStyle(feature as Feature<Polygon>, resolution);
    this.ground = new VectorLayer({ source: this.grounds, style: () => this.look.ground });
    this.silence = new VectorLayer({ source: this.silences, style: () => this.look.silence });
    this.nothing = new VectorLayer({ source: this.voids, style: () => this.look.void });
    this.zone = new VectorLayer({ source: this.zones, style: named((key) => this.zoneStyle(key)) });
    this.way = new VectorLayer({ source: this.ways, style: (feature) => this.look.way(feature.get('kind') as string) });
    this.label = new VectorLayer({ source: this.zones, declutter: true, style: label });
    // Its own class gives the heat its own canvas, which the page's style can fade when the picture is stale.
    const heat = new ImageLayer({ source: this.heatSource, className: 'heat' });
    this.map = new OpenMap({
      controls: [],
      interactions: interactions({ altShiftDragRotate: false, pinchRotate: false }),
      layers: [this.ground, heat, this.silence, this.nothing, this.zone, this.way, this.label],
      view: new View({
        projection,
        extent: buffer(extent, Math.max(getWidth(extent), getHeight(extent)) * 0.3),
        showFullExtent: true,
        enableRotation: false,
        constrainResolution: false,
        minResolution: 0.02,
      }),
    });
    this.map.on('click', (event) => choose(this.zoneAt(event.coordinate)));
    this.map.on('pointermove', (event) => {
      if (!event.dragging) target.style.cursor = this.zoneAt(event.coordinate) ? 'pointer' : '';
    });
    this.map.on('pointerdrag', () => (this.moved = true));
    this.map.on('change:size', () => {
      if (!this.moved) this.fit();
    });
    // A page that is still being laid out has no room for a map, and OpenLayers complains of it.
    this.room = new ResizeObserver(() => {
      if (target.clientWidth === 0 || target.clientHeight === 0) return;
      this.room.disconnect();
      this.map.setTarget(target);
    });
    this.room.observe(target);
  }

  show(shown: Shown): void {
    const before = this.shown;
    this.shown = shown;
    const otherLevel = before?.level !== shown.level;
    const otherTheme = before?.theme !== shown.theme;
    if (otherTheme) this.look = drawnAs(this.target);
    if (otherLevel) this.drawLevel(shown.level);
    if (otherLevel || String(before?.silent) !== String(shown.silent)) this.drawSilence(shown);
    if (shown.heat) paint(this.heatCanvas, shown.heat, shown.unit_members, shown.top, shown.theme);
    this.heatSource.changed();
    // Styling a layer anew costs more than drawing it, so only what shows something else is.
    const otherZone = before?.selected !== shown.selected;
    if (otherTheme) for (const layer of [this.ground, this.silence, this.nothing, this.way]) layer.changed();
    if (otherTheme || otherZone) this.zone.changed();
    if (otherTheme || otherZone || before?.labels !== shown.labels) this.label.changed();
  }

  fit(): void {
    this.moved = false;
    const padding = narrow.matches ? MARGINS.narrow : MARGINS.wide;
    if (this.map.getSize()?.every((side) => side > 0)) this.map.getView().fit(this.extent, { padding });
  }

  zoom(levels: number): void {
    this.moved = true;
    const view = this.map.getView();
    view.animate({ zoom: (view.getZoom() ?? 0) + levels, duration: 160 });
  }

  leave(): void {
    this.room.disconnect();
    this.map.setTarget(undefined);
    this.map.dispose();
  }

  private zonesOf(level: string): Zone[] {
    return this.plan.zones.filter((zone) => zone.level === level);
  }

  private drawSilence({ level, silent }: Shown): void {
    const rings = silentAreas(this.plan, level, silent);
    this.silences.clear();
    this.silences.addFeatures(rings.map((ring) => new Feature(new Polygon([ring]))));
  }

  private outline(level: string) {
    return this.plan.levels.find((one) => one.key === level)?.outline ?? [];
  }

  private drawLevel(level: string): void {
    this.grounds.clear();
    this.grounds.addFeature(new Feature(new Polygon(this.outline(level))));
    // Where there is no floor there is no silence either.
    const [, ...holes] = this.outline(level);
    this.voids.clear();
    this.voids.addFeatures(holes.map((hole) => new Feature(new Polygon([hole]))));
    this.zones.clear();
    for (const zone of this.zonesOf(level)) {
      const feature = new Feature(new Polygon(zone.polygon));
      feature.setId(zone.key);
      this.zones.addFeature(feature);
    }
    this.ways.clear();
    for (const way of this.plan.ways.filter((one) => one.levels.includes(level))) {
      this.ways.addFeature(new Feature({ geometry: new Point([way.x_m, way.y_m]), kind: way.kind }));
    }
  }

  /** Zones may lie in one another (a stall in a food court): the smallest is meant. */
  private zoneAt(at: Coordinate): string | null {
    const area = (feature: Feature<Polygon>) => feature.getGeometry()?.getArea() ?? 0;
    const [smallest] = this.zones.getFeaturesAtCoordinate(at).sort((a, b) => area(a) - area(b));
    return (smallest?.getId() as string | undefined) ?? null;
  }

  private zoneStyle(key: string) {
    return key === this.shown?.selected ? this.look.chosenZone : this.look.zone;
  }

  /** A label keeps within its zone's walls and off the signs of the ways: it gets smaller, or is left out. */
  private labelStyle(feature: Feature<Polygon>, resolution: number) {
    const key = feature.getId() as string;
    const [name, count] = this.shown?.labels.get(key) ?? ['', ''];
    const zone = feature.getGeometry()!;
    const [x, y, wide_m] = zone.getInteriorPoint().getCoordinates() as [number, number, number];
    const signs = this.ways.getFeatures().map((way) => way.getGeometry()!.getCoordinates() as [number, number]);
    const fits = (width_px: number, height_px: number) =>
      width_px + WALL_PX <= wide_m / resolution &&
      height_px + WALL_PX <= getHeight(zone.getExtent()) / resolution &&
      !signs.some(
        ([sign_x, sign_y]) =>
          Math.abs(sign_x - x) / resolution < width_px / 2 + SIGN_PX && Math.abs(sign_y - y) / resolution < height_px / 2 + SIGN_PX,
      );
    return this.look.label(name, count, key === this.shown?.selected, fits);
  }

  private walls(seen: Extent, pixels_per_m: number): Path2D {
    const path = new Path2D();
    for (const ring of this.outline(this.shown?.level ?? '')) {
      const pixels = ring.map(([x, y]) => [(x - seen[0]!) * pixels_per_m, (seen[3]! - y) * pixels_per_m] as const);
      path.moveTo(...pixels[0]!);
      for (const pixel of pixels) path.lineTo(...pixel);
    }
    return path;
  }

  private drawHeat(seen: Extent, resolution: number, pixelRatio: number, size: number[]): HTMLCanvasElement {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [Math.round(size[0]!), Math.round(size[1]!)];
    if (!this.shown?.heat) return canvas;
    const { heat, cell_m } = this.shown;
    const pixels_per_m = pixelRatio / resolution;
    const context = canvas.getContext('2d')!;
    context.imageSmoothingQuality = 'high';
    // Smoothing reaches a little beyond the last cells; nobody stands outside the walls.
    context.clip(this.walls(seen, pixels_per_m), 'evenodd');
    context.drawImage(
      this.heatCanvas,
      (0 - seen[0]!) * pixels_per_m,
      (seen[3]! - heat.rows * cell_m) * pixels_per_m,
      heat.columns * cell_m * pixels_per_m,
      heat.rows * cell_m * pixels_per_m,
    );
    return canvas;
  }
}
