/** Where the plan cannot know: the part of a level that is nearest to a silent sensor. */
import type { Plan } from '../contract';

type Point = [x_m: number, y_m: number];
type Sensor = Plan['sensors'][number];

/** The part of *ring* that is nearer to *here* than to *other*: one half-plane cut. */
function nearer(ring: readonly Point[], here: Sensor, other: Sensor): Point[] {
  const [dx, dy] = [other.x_m - here.x_m, other.y_m - here.y_m];
  const [mx, my] = [(other.x_m + here.x_m) / 2, (other.y_m + here.y_m) / 2];
  const beyond = ([x, y]: Point) => (x - mx) * dx + (y - my) * dy;
  const kept: Point[] = [];
  ring.forEach((point, i) => {
    const next = ring[(i + 1) % ring.length]!;
    const [from, to] = [beyond(point), beyond(next)];
    if (from <= 0) kept.push(point);
    if (from < 0 !== to < 0 && from !== to) {
      const part = from / (from - to);
      kept.push([point[0] + (next[0] - point[0]) * part, point[1] + (next[1] - point[1]) * part]);
    }
  });
  return kept;
}

/** One ring for each silent sensor of *level*, in metres; none where others stand at the same place. */
export function silentAreas(plan: Plan, level: string, silent: readonly string[]): Point[][] {
  const outline = plan.levels.find((one) => one.key === level)?.outline[0] ?? [];
  const sensors = plan.sensors.filter((sensor) => sensor.level === level);
  const heard = sensors.filter((sensor) => !silent.includes(sensor.key));
  if (sensors.length > 0 && heard.length === 0) return [outline];
  return sensors
    .filter((sensor) => silent.includes(sensor.key))
    .map((sensor) =>
      sensors
        .filter((other) => other !== sensor && (other.x_m !== sensor.x_m || other.y_m !== sensor.y_m))
        .reduce<Point[]>((ring, other) => nearer(ring, sensor, other), outline.slice(0, -1)),
    )
    .filter((ring) => ring.length > 2);
}
