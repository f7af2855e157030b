const MIB = 2 ** 20;

/** Threads that merge parts. */
export const MERGE_THREADS = 2;

/**
 * The engine's own configuration. It is made for a laptop that does other work as well: few background threads, small caches, and a
 * bound on memory. Figures in ARCHITECTURE.md. Parts are merged when there are ten rather than five of a size: each row is
 * rewritten less often. The engine looks twice a second how much memory it has instead of ten times, since on a laptop that does nothing that was
 * a third of what it took: queries and inserts are counted as they allocate. Statistics of columns, which no query of ours is planned by, are not made (docs/decisions/004-store-cost.md).
 * While all merging threads are busy, what may be merged is not made smaller: they take nothing then anyway, and merge-backlog.ts would find nothing.
 */
export function configXml(usersPath: string, memoryBytesMax: number): string {
  const cacheBytes = Math.round(Math.min(64 * MIB, memoryBytesMax / 16));
  return `<clickhouse>
  <users_config>${escapeXml(usersPath)}</users_config>
  <max_server_memory_usage>${memoryBytesMax}</max_server_memory_usage>
  <mark_cache_size>${cacheBytes}</mark_cache_size>
  <index_mark_cache_size>${cacheBytes}</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <mmap_cache_size>0</mmap_cache_size>
  <memory_worker_period_ms>500</memory_worker_period_ms>
  <compiled_expression_cache_size>${8 * MIB}</compiled_expression_cache_size>
  <background_pool_size>${MERGE_THREADS}</background_pool_size>
  <background_merges_mutations_concurrency_ratio>1</background_merges_mutations_concurrency_ratio>
  <background_common_pool_size>1</background_common_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <background_fetches_pool_size>1</background_fetches_pool_size>
  <background_schedule_pool_size>2</background_schedule_pool_size>
  <background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
  <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
  <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
  <merge_tree>
    <merge_selector_base>10</merge_selector_base>
    <auto_statistics_types></auto_statistics_types>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>0</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
</clickhouse>
`;
}

/** One user, since the embedded engine knows no other; who may do what is decided by the HTTP interface and by \`readonly\`. */
export function usersXml(memoryBytesMax: number): string {
  return `<clickhouse>
  <profiles>
    <default>
      <max_memory_usage>${Math.round(memoryBytesMax / 2)}</max_memory_usage>
      <use_uncompressed_cache>0</use_uncompressed_cache>
    </default>
  </profiles>
  <users>
    <default>
      <password></password>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
  <quotas><default></default></quotas>
</clickhouse>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
