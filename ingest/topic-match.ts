/**
 * Whether a filter matches a topic name (section 4.7): level by level, `+` for any one level, also an empty one, `#` for the
 * rest and for its parent. Names that begin with `$` are not for filters that begin with a wildcard [MQTT-4.7.2-1]. Nothing is
 * normalized [MQTT-4.7.3-4]. Both are taken to be well formed.
 */
export function topicMatches(filter: string, topic: string): boolean {
  if (filter === topic) return true;
  if (topic.charCodeAt(0) === DOLLAR && (filter.charCodeAt(0) === PLUS || filter.charCodeAt(0) === HASH)) return false;
  let f = 0;
  let t = 0;
  for (;;) {
    const c = filter.charCodeAt(f);
    if (c === HASH) return true;
    if (c === PLUS) {
      f++;
      while (t < topic.length && topic.charCodeAt(t) !== SLASH) t++;
    } else {
      while (f < filter.length && filter.charCodeAt(f) !== SLASH) {
        if (t >= topic.length || topic.charCodeAt(t) !== filter.charCodeAt(f)) return false;
        f++;
        t++;
      }
    }
    // Both stand at the end of a level now, or they differ.
    if (t < topic.length && topic.charCodeAt(t) !== SLASH) return false;
    if (f === filter.length) return t === topic.length;
    if (t === topic.length) return filter.length === f + 2 && filter.charCodeAt(f + 1) === HASH;
    f++;
    t++;
  }
}

const HASH = 35;
const DOLLAR = 36;
const PLUS = 43;
const SLASH = 47;

/** Whether a filter has a wildcard, and so may match more than its own name. */
export function hasWildcard(filter: string): boolean {
  return filter.includes('+') || filter.includes('#');
}
