// Reads through clickhouse-go over HTTP, as Grafana's ClickHouse plugin does, and prints what it saw, a line each.
// Usage: go run . HOST:PORT
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address string) error {
	ctx := context.Background()
	for _, compression := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionGZIP} {
		conn, err := clickhouse.Open(&clickhouse.Options{
			Addr:        []string{address},
			Protocol:    clickhouse.HTTP,
			Auth:        clickhouse.Auth{Database: "web"},
			Compression: &clickhouse.Compression{Method: compression},
			Settings:    clickhouse.Settings{"max_execution_time": 30},
		})
		if err != nil {
			return err
		}
		if err := conn.Ping(ctx); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		version, err := conn.ServerVersion()
		if err != nil {
			return fmt.Errorf("version: %w", err)
		}
		fmt.Println("server", version.DisplayName, version.Revision)

		rows, err := conn.Query(ctx, `SELECT device, metric, ts, value, text, cleared FROM go_readings ORDER BY ts`)
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		for rows.Next() {
			var device, metric, text string
			var ts time.Time
			var value float64
			var cleared *time.Time
			if err := rows.Scan(&device, &metric, &ts, &value, &text, &cleared); err != nil {
				return fmt.Errorf("scan: %w", err)
			}
			fmt.Println("row", device, metric, ts.UTC().Format("15:04:05.000"), value, text, cleared == nil)
		}
		if err := rows.Err(); err != nil {
			return err
		}

		var sum, count uint64
		rows, err = conn.Query(ctx, "SELECT number FROM numbers(200000)")
		if err != nil {
			return err
		}
		for rows.Next() {
			var n uint64
			if err := rows.Scan(&n); err != nil {
				return err
			}
			sum += n
			count++
		}
		fmt.Println("numbers", count, sum, rows.Err())

		var answer uint8
		if err := conn.QueryRow(ctx, "SELECT toUInt8({n:UInt8} + 1)", clickhouse.Named("n", "41")).Scan(&answer); err != nil {
			return fmt.Errorf("parameter: %w", err)
		}
		fmt.Println("parameter", answer)
		err = conn.QueryRow(ctx, "SELECT nothing").Scan(&answer)
		fmt.Println("refused", err != nil)
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}
