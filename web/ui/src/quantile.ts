// Quantiles of durations that come as counts in buckets.

export interface Bucket {
  low: number;
  high: number;
  count: number;
}

/** Nearest rank: the middle (on a log scale) of the bucket that holds it; null without values. */
export function quantile(buckets: readonly Bucket[], share: number): number | null {
  const total = buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  if (total === 0) return null;
  let rank = Math.max(1, Math.ceil(share * total));
  for (const bucket of [...buckets].sort((a, b) => a.low - b.low)) {
    rank -= bucket.count;
    if (rank <= 0) return middle(bucket);
  }
  return null;
}

function middle(bucket: Bucket): number {
  return bucket.low <= 0 ? bucket.high / 2 : Math.sqrt(bucket.low * bucket.high);
}
