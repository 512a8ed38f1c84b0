/** Asking the server: typed by its OpenAPI document; a no comes back as a value with its reason. */
import { noteServerDate } from './clock';
import type { paths } from './contract';

/** An RFC 9457 problem document; kind is the last part of its type. */
export interface Problem {
  kind: string;
  status: number;
  title: string;
  detail: string;
  facts: Record<string, unknown>;
}

/** age_ms: how long ago the server said so; above 0 only for what was kept for use without a network. */
export type Answer<Body> = { ok: true; body: Body; age_ms: number } | { ok: false; problem: Problem };

type Method<P extends keyof paths> = {
  [M in keyof paths[P]]: paths[P][M] extends { responses: unknown } ? M : never;
}[keyof paths[P]] &
  string;

type Json<Content> = Content extends { content: { 'application/json': infer Body } } ? Body : never;
type Given<Operation> = Operation extends { responses: { 200: infer Content } | { 201: infer Content } } ? Json<Content> : undefined;
type Sent<Operation> = Operation extends { requestBody: infer Content } ? { body: Json<Content> } : { body?: never };

export interface Request {
  parts?: Record<string, string>;
  query?: Record<string, string>;
  /** Makes a repeated request count once. */
  idempotencyKey?: string;
}

/** Called on every 401, wherever it came from. */
let onSignedOut: () => void = () => {};
export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

const UNREACHABLE: Problem = { kind: 'unreachable', status: 0, title: '', detail: '', facts: {} };

export async function ask<P extends keyof paths, M extends Method<P>>(
  method: M,
  path: P,
  request: Request & Sent<paths[P][M]>,
): Promise<Answer<Given<paths[P][M]>>> {
  const filled = path.replace(/\{(\w+)\}/g, (_, part: string) => encodeURIComponent(request.parts?.[part] ?? ''));
  const query = request.query ? `?${new URLSearchParams(request.query)}` : '';
  const headers: Record<string, string> = { Accept: 'application/json' };
  const sent: unknown = request.body;
  if (sent !== undefined) headers['Content-Type'] = 'application/json';
  if (request.idempotencyKey) headers['Idempotency-Key'] = request.idempotencyKey;

  let response: Response;
  try {
    const body = sent === undefined ? null : JSON.stringify(sent);
    response = await fetch(filled + query, { method: method.toUpperCase(), headers, body });
  } catch {
    return { ok: false, problem: UNREACHABLE };
  }
  const date = response.headers.get('date');
  if (navigator.onLine) noteServerDate(date);
  if (response.ok) {
    const body = response.status === 204 ? undefined : await response.json();
    const age_ms = navigator.onLine ? 0 : Date.now() - Date.parse(date ?? '');
    return { ok: true, body: body as Given<paths[P][M]>, age_ms: age_ms || 0 };
  }
  if (response.status === 401) onSignedOut();
  return { ok: false, problem: await readProblem(response) };
}

async function readProblem(response: Response): Promise<Problem> {
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') ?? false;
  const document = (isProblem ? await response.json() : {}) as Record<string, unknown>;
  const { type, title, detail, ...facts } = document;
  return {
    kind: String(type ?? 'refused').split('/').pop() ?? 'refused',
    status: response.status,
    title: String(title ?? response.statusText),
    detail: String(detail ?? ''),
    facts,
  };
}
