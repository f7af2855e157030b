/** The name under which this browser acts, kept for the next time. */
const KEY = 'sluice-operator';

export function operatorName(): string {
  try {
    return localStorage.getItem(KEY) ?? '';
  } catch {
    // A browser that keeps nothing: the name is asked for each time.
    return '';
  }
}

export function rememberOperator(name: string): void {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // As above.
  }
}
