/** Dark or light: what the system says, until the reader chooses; the choice is remembered in this browser. */

export type Theme = 'dark' | 'light';
const KEY = 'sluice.theme';
const systemDark = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set<() => void>();

function chosen(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'dark' || value === 'light' ? value : null;
  } catch {
    return null; // Storage may be forbidden; the system's wish holds then.
  }
}

export function theme(): Theme {
  const now = document.documentElement.dataset.theme;
  return now === 'dark' || now === 'light' ? now : systemDark.matches ? 'dark' : 'light';
}

export function startTheme(): void {
  apply(chosen() ?? (systemDark.matches ? 'dark' : 'light'));
  systemDark.addEventListener('change', () => {
    if (chosen() === null) apply(systemDark.matches ? 'dark' : 'light');
  });
}

export function toggleTheme(): void {
  const next: Theme = theme() === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // The choice then lasts as long as the page.
  }
  apply(next);
}

/** Charts are drawn with colours of the style sheet, and are drawn anew when they change. */
export function onTheme(listener: () => void): void {
  listeners.add(listener);
}

function apply(next: Theme): void {
  document.documentElement.dataset.theme = next;
  for (const listener of listeners) listener();
}
