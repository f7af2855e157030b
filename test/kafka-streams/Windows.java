import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Aggregator;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Initializer;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Forms windows of given readings with Kafka Streams, for comparison.
 *
 *   java Windows.java SIZE_MS HOP_MS GAP_MS GRACE_MS
 *
 * Standard input: lines "device ts value" in the order of arrival. Standard output: lines
 * "kind device start end count sum min max first last" of the newest result of each window, kind one of tumbling, hopping, session.
 * A device has a topology of its own, because the stream time of Kafka Streams is that of a partition, not of a key.
 */
public class Windows {
  /** count, sum, min, max, first, its ts, last, its ts */
  private static final int WIDTH = 8;

  private static double[] doubles(byte[] state) {
    double[] values = new double[WIDTH];
    ByteBuffer.wrap(state).asDoubleBuffer().get(values);
    return values;
  }

  private static byte[] bytes(double[] values) {
    ByteBuffer buffer = ByteBuffer.allocate(WIDTH * 8);
    buffer.asDoubleBuffer().put(values);
    return buffer.array();
  }

  private static final Initializer<byte[]> EMPTY =
      () -> bytes(new double[] {0, 0, 1 / 0.0, -1 / 0.0, 0, 1 / 0.0, 0, -1 / 0.0});

  /** A reading is "ts value", since an aggregator is not told the time. */
  private static final Aggregator<String, String, byte[]> ADD =
      (device, reading, state) -> {
        double[] s = doubles(state);
        String[] parts = reading.split(" ");
        double ts = Double.parseDouble(parts[0]);
        double value = Double.parseDouble(parts[1]);
        s[0]++;
        s[1] += value;
        s[2] = Math.min(s[2], value);
        s[3] = Math.max(s[3], value);
        if (ts < s[5]) {
          s[4] = value;
          s[5] = ts;
        }
        if (ts > s[7]) {
          s[6] = value;
          s[7] = ts;
        }
        return bytes(s);
      };

  private static byte[] merged(byte[] one, byte[] other) {
    double[] a = doubles(one);
    double[] b = doubles(other);
    boolean first = a[5] <= b[5];
    boolean last = a[7] >= b[7];
    return bytes(
        new double[] {
          a[0] + b[0], a[1] + b[1], Math.min(a[2], b[2]), Math.max(a[3], b[3]),
          first ? a[4] : b[4], first ? a[5] : b[5], last ? a[6] : b[6], last ? a[7] : b[7]
        });
  }

  public static void main(String[] args) throws Exception {
    Duration size = Duration.ofMillis(Long.parseLong(args[0]));
    Duration hop = Duration.ofMillis(Long.parseLong(args[1]));
    Duration gap = Duration.ofMillis(Long.parseLong(args[2]));
    Duration grace = Duration.ofMillis(Long.parseLong(args[3]));
    Map<String, List<String[]>> byDevice = new TreeMap<>();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] parts = line.split(" ");
      byDevice.computeIfAbsent(parts[0], (device) -> new ArrayList<>()).add(parts);
    }
    StringBuilder out = new StringBuilder();
    for (Map.Entry<String, List<String[]>> entry : byDevice.entrySet()) {
      one(entry.getKey(), entry.getValue(), size, hop, gap, grace, out);
    }
    System.out.print(out);
  }

  private static void one(
      String device, List<String[]> readings, Duration size, Duration hop, Duration gap, Duration grace,
      StringBuilder out) {
    // The newest result of each window; what a session has absorbed is taken out by its null.
    Map<String, Map<Windowed<String>, byte[]>> results = new TreeMap<>();
    StreamsBuilder builder = new StreamsBuilder();
    KGroupedStream<String, String> grouped =
        builder
            .stream("readings", Consumed.with(Serdes.String(), Serdes.String()))
            .groupByKey(Grouped.with(Serdes.String(), Serdes.String()));
    Duration retention = size.plus(grace).plusDays(1);
    grouped
        .windowedBy(TimeWindows.ofSizeAndGrace(size, grace))
        .aggregate(EMPTY, ADD, windowStore("tumbling", retention, size))
        .toStream()
        .foreach((window, state) -> keep(results, "tumbling", window, state));
    grouped
        .windowedBy(TimeWindows.ofSizeAndGrace(size, grace).advanceBy(hop))
        .aggregate(EMPTY, ADD, windowStore("hopping", retention, size))
        .toStream()
        .foreach((window, state) -> keep(results, "hopping", window, state));
    Materialized<String, byte[], SessionStore<Bytes, byte[]>> sessions =
        Materialized.<String, byte[]>as(Stores.inMemorySessionStore("session", retention.plus(gap)))
            .withKeySerde(Serdes.String())
            .withValueSerde(Serdes.ByteArray())
            .withCachingDisabled();
    grouped
        .windowedBy(SessionWindows.ofInactivityGapAndGrace(gap, grace))
        .aggregate(EMPTY, ADD, (key, a, b) -> merged(a, b), sessions)
        .toStream()
        .foreach((window, state) -> keep(results, "session", window, state));

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "comparison");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1");
    try (TopologyTestDriver driver = new TopologyTestDriver(builder.build(), settings)) {
      TestInputTopic<String, String> topic =
          driver.createInputTopic("readings", Serdes.String().serializer(), Serdes.String().serializer());
      for (String[] reading : readings) {
        topic.pipeInput(device, reading[1] + " " + reading[2], Long.parseLong(reading[1]));
      }
    }
    for (Map.Entry<String, Map<Windowed<String>, byte[]>> kind : results.entrySet()) {
      for (Map.Entry<Windowed<String>, byte[]> result : kind.getValue().entrySet()) {
        double[] s = doubles(result.getValue());
        out.append(kind.getKey()).append(' ').append(device)
            .append(' ').append(result.getKey().window().start())
            .append(' ').append(result.getKey().window().end())
            .append(' ').append((long) s[0]);
        for (double value : new double[] {s[1], s[2], s[3], s[4], s[6]}) out.append(' ').append(value);
        out.append('\n');
      }
    }
  }

  private static Materialized<String, byte[], WindowStore<Bytes, byte[]>> windowStore(
      String name, Duration retention, Duration size) {
    return Materialized.<String, byte[]>as(Stores.inMemoryWindowStore(name, retention, size, false))
        .withKeySerde(Serdes.String())
        .withValueSerde(Serdes.ByteArray())
        .withCachingDisabled();
  }

  private static void keep(
      Map<String, Map<Windowed<String>, byte[]>> results, String kind, Windowed<String> window, byte[] state) {
    Map<Windowed<String>, byte[]> of = results.computeIfAbsent(kind, (name) -> new java.util.LinkedHashMap<>());
    if (state == null) of.remove(window);
    else of.put(window, state);
  }
}
