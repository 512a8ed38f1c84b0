/** Coupon codes as people type them: XXXX-XXXX-XXXX-C in Crockford's letters, with a check character. */

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
export const LENGTH = 13;

/** The letters and digits of *typed* that a code can have; what looks alike is taken for what it must be. */
export function normal(typed: string): string {
  return typed
    .toUpperCase()
    .replace(/O/g, '0')
    .replace(/[IL]/g, '1')
    .replace(/[^0-9A-HJKMNP-TV-Z]/g, '')
    .slice(0, LENGTH);
}

export function grouped(code: string): string {
  return code.replace(/(.{4})(?=.)/g, '$1-');
}

/** Where the caret belongs in the grouped code when *before* of its letters stand before it. */
export const caret = (before: number) => before + Math.floor(Math.max(0, before - 1) / 4);

// The field of 32 elements by x^5 + x^2 + 1, as the server computes it: any one slip, or any two characters that
// changed places, shows before anything is sent.
const OVERFLOW = 0b100000;
const POLYNOMIAL = 0b100101;

const double = (value: number) => ((value << 1) & OVERFLOW ? (value << 1) ^ POLYNOMIAL : value << 1);

/** Whether a whole code's check character agrees with the rest. */
export function holds(code: string): boolean {
  const values = [...code].map((letter) => ALPHABET.indexOf(letter));
  const check = values.pop();
  return code.length === LENGTH && values.reduce((total, value) => double(total ^ value), 0) === check;
}

/** The code in what a camera read: the short link of a coupon, or the bare code. */
export function scanned(text: string): string | null {
  const last = text.split(/[/#=?&]/).pop() ?? '';
  const code = normal(last);
  return holds(code) ? code : null;
}
