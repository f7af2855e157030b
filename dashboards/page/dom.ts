/** Builds the page's elements. Text is always set as text, never as markup. */

type Child = Node | string | null;
type Props = Record<string, string | boolean | ((event: Event) => void) | null>;

/** An element: `on…` are listeners, true and '' are bare attributes, null and false are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

export function svg(tag: string, attributes: Record<string, string>, ...children: Node[]): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets the text only when it differs, so that a selection or a screen reader is left in peace. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** An icon drawn with one stroke in the colour of the text. */
export function icon(path: string, size = 16): SVGElement {
  return svg(
    'svg',
    {
      width: `${size}`,
      height: `${size}`,
      viewBox: '0 0 24 24',
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': '1.8',
      'stroke-linecap': 'round',
      'stroke-linejoin': 'round',
      'aria-hidden': 'true',
    },
    svg('path', { d: path }),
  );
}

/** A place for what a panel says when it has nothing to show or could not be filled. */
export function notice(kind: 'empty' | 'error', title: string, ...more: Child[]): HTMLElement {
  return h(
    'div',
    { class: `notice ${kind}`, role: kind === 'error' ? 'alert' : null },
    h('strong', {}, title),
    ...more,
  );
}
