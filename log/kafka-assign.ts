/**
 * Which member of a group works at which partitions. Members keep what they have as far as shares stay even (they
 * differ by one at most), so that a member that comes or goes moves no more state than it must. The answer is the same whatever the order of
 * the members, and each partition has exactly one.
 */
export function assignPartitions(
  members: readonly { id: string; owned: readonly number[] }[],
  partitions: number,
): Map<string, number[]> {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const shares = new Map<string, number[]>(sorted.map((m) => [m.id, []]));
  const taken = new Set<number>();
  const least = Math.floor(partitions / sorted.length);
  let larger = partitions % sorted.length;
  // Those that have most get the larger shares, so that they give away less.
  for (const member of [...sorted].sort((a, b) => b.owned.length - a.owned.length)) {
    const owned = [...new Set(member.owned)].filter((p) => p < partitions && !taken.has(p)).sort((a, b) => a - b);
    let quota = least;
    if (larger > 0 && owned.length > least) {
      quota++;
      larger--;
    }
    for (const partition of owned.slice(0, quota)) {
      taken.add(partition);
      shares.get(member.id)!.push(partition);
    }
  }
  for (let p = 0; p < partitions; p++) {
    if (taken.has(p)) continue;
    const smallest = sorted.reduce((a, b) => (shares.get(b.id)!.length < shares.get(a.id)!.length ? b : a));
    shares.get(smallest.id)!.push(p);
  }
  for (const share of shares.values()) share.sort((a, b) => a - b);
  return shares;
}
